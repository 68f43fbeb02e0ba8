import type { Shown } from './weaknesses-of-drivers.ts'

/** Weaknesses of snapshots, logs, hashes and replays: section 4.3 of the specification. */
export const weaknessesOfLogs: Readonly<Record<string, readonly Shown[]>> = {
  W24: [
    [
      'A short run has one snapshot.',
      '../driver/commits',
      'and, with N = %d, nothing else but the snapshot of its end',
    ],
    [
      'The distance of snapshots grows with the state.',
      '../driver/snapshots',
      'when the tail has 500 events and at least the bytes of the last snapshot',
    ],
    ['Reading saves none.', '../driver/snapshots', 'never when a run is only read'],
    ['Old ones go.', '../driver/snapshots', 'and the last two are kept'],
  ],
  W25: [
    [
      'A snapshot that cannot be saved is a warning.',
      '../driver/snapshots',
      'one that cannot be saved is warned of, and the run goes on',
    ],
    [
      'One that cannot be decoded is passed over.',
      '../driver/snapshots',
      'from the beginning when its snapshot is one %s',
    ],
    [
      'A store that cannot answer its snapshots is a warning, and the log is read.',
      '../driver/snapshots',
      'a store that cannot answer its snapshots is warned of, and the log is read instead',
    ],
  ],
  W26: [
    [
      'A snapshot ahead of the log is passed over.',
      '../driver/snapshots',
      'from the snapshot before when the newest %s',
    ],
    [
      'A snapshot counts for the log alone whose hash it carries, and for the build that made it.',
      '../driver/snapshots',
      'from the beginning when its snapshot is one %s',
    ],
    [
      'A later snapshot is not replaced by an earlier one.',
      '../spec/log',
      'saved out of order, the one with the highest seq is the latest',
    ],
  ],
  W27: [
    [
      'An event carries its format, and one of a later format says so.',
      '../../../store/src/log/seal',
      'an event of a later format says to upgrade',
    ],
    [
      'Logs of earlier releases are read by this one.',
      '../evidence/verify-histories',
      'of earlier releases is verified by this one',
    ],
    [
      'A run is driven by no other version of its workflow.',
      '../kernel/missing-versions',
      'is parked where it is run, with an error that says what can be done, and its log is left as it is',
    ],
    [
      'Changed code under the same version is found when it would decide otherwise.',
      '../driver/snapshots',
      'by changed code without a build of its own from the beginning, too',
    ],
  ],
  W28: [
    [
      'Reading has neither executor nor appender, however the run stands.',
      '../kernel/kernel',
      'of one that was left amid an action execute nothing and write nothing',
    ],
    [
      'Clock, randomness and the like are trapped in replays.',
      '../guard/guarded-run',
      'replay, stateAt and executionLog: %s',
    ],
    ['They are trapped in verification.', '../guard/guarded-run', 'verify: %s'],
    [
      'They are trapped in live runs, too.',
      '../spec/guard',
      'a run traps the clock as its replay does, unless the guard is off',
    ],
  ],
  W29: [
    [
      'Verification asks the step again at every decision, and says where it decides otherwise first.',
      '../views/verify',
      'says where recorded decisions and the code part first',
    ],
    [
      'So does opening a run, before anything is executed.',
      '../kernel/run',
      'finds that the code decides %s, before anything is executed',
    ],
  ],
  W30: [
    [
      'Every event carries a hash of everything before it, its envelope and its body, from the run id on.',
      '../../../store/src/log/seal',
      'an event carries the hash of everything before it, its envelope and its body',
    ],
    [
      'The text that is hashed is canonical.',
      '../../../store/src/json/canonical-json',
      'the text is that of an independent implementation',
    ],
    [
      'The hash of a state is that of its canonical text.',
      '../kernel/kernel',
      'the execution log has the hash of the state after each event',
    ],
    ['Any change of a log is found.', '../views/verify', 'refuses the logs of any single change'],
  ],
  W31: [
    ['A run that waits for an answer is in order.', '../views/verify', 'accepts a run that waits for an answer'],
    [
      'The check covers outputs.',
      '../views/verify',
      'notices that an output was edited and the chain sealed anew, by the decisions behind it',
    ],
    [
      'A run can be compared with one of another id.',
      '../views/diff-runs',
      'begins with the first event that differs, and names the keys that ended otherwise',
    ],
    [
      'A store that fails is no verdict on the log.',
      '../views/verify',
      'rejects where the store cannot be read, and gives no verdict',
    ],
  ],
  W32: [
    [
      'An answer that is repeated appends nothing and has the outcome of the first time.',
      '../kernel/resume',
      'returns the end of the run and appends nothing',
    ],
    [
      'That holds between two questions, too, and the first answer stays.',
      '../kernel/resume',
      'returns the next block of a run that goes on',
    ],
    [
      'A process may die wherever it likes without losing or repeating an answer.',
      '../../../testing/src/seams/approval',
      'a process may die anywhere without losing or repeating an answer',
    ],
  ],
  W33: [
    [
      'A fork is a run of its own that says where it came from.',
      '../kernel/fork',
      'copies bodies and times, under a chain of its own, and says where it came from',
    ],
    [
      'What follows its edit is executed, not copied.',
      '../kernel/fork',
      'of an output leads to other decisions, and is noted',
    ],
    ['A point beyond the head is refused.', '../kernel/fork', 'at seq %d'],
  ],
  W34: [
    ['A status follows from what is open, for all who ask.', '../run/system', 'the status follows from what is open'],
    ['A run that was answered is running.', '../spec/log', 'a question with its answer is in order'],
    ['An unknown run has no status.', '../spec/log', 'a run that does not exist is not found'],
    [
      'Every event of a timeline has its time.',
      '../kernel/kernel',
      'the timeline has every event with its time and what it is about',
    ],
  ],
  W35: [
    [
      'The same log makes the same bundle.',
      '../evidence/verify-evidence',
      'of the same log is the same, byte for byte',
    ],
    ['All of it is covered.', '../evidence/verify-evidence', 'whichever byte of a signed bundle it is'],
    [
      'It can be anchored by a head or a key.',
      '../evidence/verify-evidence',
      '%s passes unanchored, and is refused with the head that was noted',
    ],
    ['It is that of a run.', '../evidence/verify-evidence', 'of any run is verified, and says that nothing anchors it'],
  ],
  W36: [
    [
      'Every event has its time, and one of an item its key.',
      '../kernel/kernel',
      'the timeline has every event with its time and what it is about',
    ],
    [
      'Who answered is recorded.',
      '../kernel/resume',
      'an answer is recorded as its schema returns it, with who gave it, and the run goes on',
    ],
    [
      'Attempts are recorded by number.',
      '../driver/actions',
      'that are due soon are waited for in process, and every attempt is in the log',
    ],
    [
      'A child’s log names its parent.',
      '../kernel/children',
      'runs as a run of its own, and its output is the result of its key',
    ],
  ],
  W37: [
    ['A log is read in parts.', '../spec/log', 'a read begins with its first seq, in ascending order'],
    ['Runs are listed in pages.', '../kernel/kernel', 'list answers runs newest first, filtered, in pages'],
    [
      'A run can be watched from any event on.',
      '../views/watch',
      'shows what was and what comes, once and in order, and ends with the run',
    ],
  ],
}
