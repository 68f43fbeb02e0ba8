/** A test that shows a weakness absent: how it is so, the file relative to this folder, the title. */
export type Shown = readonly [why: string, file: string, test: string]

/** Weaknesses of driving and of the life of a run: sections 4.1 and 4.2 of the specification. */
export const weaknessesOfDrivers: Readonly<Record<string, readonly Shown[]>> = {
  W1: [
    [
      'Of all who drive a run at once one appends, and the others follow it.',
      '../kernel/start',
      '32 times at once, from %d kernels, is one run whose action ran once',
    ],
    [
      'An append names the head that it expects, and takes nothing where the head is another one.',
      '../kernel/fork',
      'under an id that is taken, also its own',
    ],
  ],
  W2: [
    [
      'A driver that lost its lease appends nothing any more, although nobody told it.',
      '../driver/lease',
      'that was lost unnoticed is noticed by the append, which is fenced, and the outcome is handed in',
    ],
    [
      'The fencing token of a run only grows, whoever drives it.',
      '../driver/lease',
      'grows its token with every change of hands, which the handler is told',
    ],
  ],
  W3: [
    [
      'A request without an outcome is found on opening the run, and runs again under its own key.',
      '../driver/actions',
      'runs again under the same key, and the crash is recorded and no failure',
    ],
    [
      'What may run only once is in doubt after a crash, and is not called again.',
      '../driver/in-doubt',
      'whose process died is in doubt, and not called',
    ],
    ['The action may be asked what became of the orphan.', '../driver/in-doubt', 'is asked about an orphan, too'],
    [
      'The fold accepts an outcome for an open request alone, and reopens no key.',
      '../run/system',
      'the fold accepts what the table allows, refuses what it forbids, and is unchanged by what it refuses',
    ],
  ],
  W4: [
    [
      'A handler is told its run, key, attempt, fencing token and idempotency key.',
      '../driver/actions',
      'run, key, attempt, fencing token and an idempotency key that all attempts share',
    ],
  ],
  W5: [
    [
      'Every attempt and every failure of one is an event of its own.',
      '../driver/actions',
      'that are due soon are waited for in process, and every attempt is in the log',
    ],
    [
      'How often an action may be tried is counted from the log, not in memory.',
      '../driver/actions',
      'the budget survives the process: attempts of before count',
    ],
  ],
  W6: [
    [
      'A long delay blocks the run with its time in the log, and holds neither lease nor process.',
      '../driver/actions',
      'that are due after more than 5 seconds block the run durably, and the kernel wakes it',
    ],
    [
      'A short delay is waited for by a timer that a disposed kernel clears.',
      '../kernel/recover',
      'aborts handlers, releases leases, clears timers, and rejects who waits',
    ],
  ],
  W7: [
    [
      'The policies that are there by default retry nothing.',
      '../policy/policy',
      'allowing all denies nothing and retries nothing',
    ],
    ['A hint of the other side buys no further attempt.', '../policy/retry', 'a hint buys no further attempt'],
    [
      'A policy of one’s own that never gives up is bounded by the length of the run.',
      '../driver/limits',
      'because its policy never gives up is parked, too',
    ],
  ],
  W8: [
    [
      'Jitter spreads over the whole range, below the cap, and can be drawn again.',
      '../policy/retry',
      'stays between 0 and the bound and depends on run, key and failure alone',
    ],
    ['Runs that fail together do not come back together.', '../policy/retry', 'spreads runs over the whole range'],
    ['The cap holds for hints, too.', '../policy/retry', 'a hint wins over the base, is capped, and has no jitter'],
  ],
  W9: [
    [
      'Running a blocked run answers the block that it has.',
      '../kernel/run',
      'a blocked run answers its block, and nothing is written',
    ],
  ],
  W10: [
    [
      'Running a run that has ended answers its end.',
      '../kernel/run',
      'a %s run answers its end, and nothing is written',
    ],
    [
      'Answering a run that has ended is an error with a code.',
      '../kernel/resume',
      'to a run that has ended is refused',
    ],
    ['An answer needs a question that is open.', '../spec/log', 'an answer without a question cannot stand in a log'],
    ['Running a run that does not exist is an error with a code.', '../kernel/run', 'an unknown run is not found'],
  ],
  W11: [
    [
      'The failure of a run is an event, its last one.',
      '../spec/driver',
      'an error without a class is permanent: the run fails as a value, with request and failure in the log',
    ],
    [
      'Running a run that failed answers the failure, and executes nothing.',
      '../kernel/run',
      'a %s run answers its end, and nothing is written',
    ],
    ['So is the end of a canceled run.', '../kernel/cancel', 'drops what is open, aborts its handlers, and ends it'],
    ['So is the end of one whose time is over.', '../kernel/cancel', 'fails the run, and aborts its handlers'],
  ],
  W12: [
    [
      'A signal is an event with its name, id and value.',
      '../kernel/waits',
      'blocks until it comes, and its value is what the schema makes of it',
    ],
    [
      'It is kept until it is waited for.',
      '../kernel/waits',
      'takes one that came before, the earliest of its name first',
    ],
    ['It resumes nobody who waits for another name.', '../run/system', 'a wait takes no signal of another name'],
    ['It counts once.', '../kernel/waits', 'a signal id counts once, whatever it says the second time'],
  ],
  W13: [
    [
      'Sleeping is the kernel’s own, with its time in the log.',
      '../kernel/waits',
      'for longer blocks the run, which the kernel wakes when its time has come',
    ],
    [
      'Waiting is so, too, and a blocked run says for what it waits.',
      '../kernel/waits',
      'closes without its signal when the time is over',
    ],
    [
      'Several times are kept in order.',
      '../kernel/waits',
      'the least of several times counts, and each fires by itself',
    ],
  ],
  W14: [
    ['An answer that is given twice is one answer.', '../kernel/resume', 'twice at once is one answer'],
    [
      'Of two answers one is taken, and the other is told so.',
      '../kernel/resume',
      'racing another one: one is taken, the other is not open (%d kernels)',
    ],
    [
      'A question has a kind and a key in the log, and an answer passes its schema first.',
      '../kernel/resume',
      'what cannot be taken is set aside with its reason, and the rest is taken',
    ],
    ['A question can expire.', '../kernel/waits', 'closes without its answer'],
  ],
  W15: [
    [
      'The stock state gives the step every answer.',
      '../kernel/resume',
      'an answer is recorded as its schema returns it, with who gave it, and the run goes on',
    ],
    [
      'It gives the step every result, and a step that ignores it ends with an error instead of a loop.',
      '../run/decide',
      'no progress is made by wanting what is done, and the error names the keys and a remedy',
    ],
  ],
  W16: [
    [
      'A failure is a result like others, and the step decides what follows.',
      '../run/decide',
      'the step may go another way after a failure',
    ],
  ],
  W17: [
    ['Emitting nothing is an error.', '../run/decide', 'no progress is made by wanting %s'],
    [
      'A run has a greatest length.',
      '../kernel/run',
      'a run that would grow beyond its limit is parked before it does',
    ],
    [
      'A turn is bounded, and then others have theirs.',
      '../run/decide',
      'a turn decides at most 500 events and says that there is more',
    ],
    ['A run can be canceled.', '../kernel/cancel', 'drops what is open, aborts its handlers, and ends it'],
    ['A run can have a deadline.', '../kernel/cancel', 'fails the run, and aborts its handlers'],
  ],
  W18: [
    ['A step can emit none of the kernel’s events.', '../run/decide', '%s cannot be emitted'],
    [
      'Nothing follows an end, and every event must fit what is open.',
      '../run/system',
      'the fold accepts what the table allows, refuses what it forbids, and is unchanged by what it refuses',
    ],
  ],
  W19: [
    ['A log begins with the input.', '../kernel/start', 'the input is recorded as its schema returns it'],
    [
      'The first state follows from the input, so that a replay is given nothing.',
      '../kernel/kernel',
      'a replay gives the state, and where it stands',
    ],
    [
      'A run goes on with the definition whose version is recorded in it.',
      '../kernel/run',
      'a run goes on with the version that it started with',
    ],
  ],
  W20: [
    [
      'A reducer that fails parks its run under a code of its own until it is mended.',
      '../kernel/run',
      'because it %s parks the run; mended code goes on',
    ],
    [
      'An answer on which it fails is not appended at all.',
      '../kernel/resume',
      'rejects that answer with its reason, and the run waits on for a better one',
    ],
  ],
  W21: [
    [
      'A denial is an event and a result, and the run goes on.',
      '../driver/actions',
      'is recorded, never executed, and the step can go another way',
    ],
    [
      'Effects are read from committed events, so none is told that was denied.',
      '../kernel/kernel',
      'as an effect sink gets state writes, calls and questions, and nothing that was denied',
    ],
  ],
  W22: [
    [
      'A budget is asked before each action, and what it denies is an event with a code.',
      '../driver/policy',
      'of %s lets two calls pass and denies the third, which the step sees with its code',
    ],
    [
      'It is asked before each retry, whoever wants it.',
      '../driver/policy',
      'of %s makes the third failure final, although another policy would retry it',
    ],
    [
      'What is spent is counted by the fold over the log.',
      '../run/counts',
      'counts never fall, and are the sums of what the log says',
    ],
    [
      'So it lasts: beyond a process, a snapshot, a continued run.',
      '../driver/policy',
      'goes on with a run that continues as new',
    ],
    [
      'A policy is told whose run it is, by the tags that it was started with.',
      '../driver/policy',
      'is told the action, its labels, its effect, the tags of the run, and what the run has spent before it',
    ],
    [
      'Every retry goes through one method, with the number of failures.',
      '../driver/policy',
      'is told of a retry what failed, how often, and what the run will have spent',
    ],
    ['An option that would do nothing is refused.', '../policy/budget', 'a budget with %s is refused'],
  ],
  W23: [
    ['Actions run beside one another.', '../driver/actions', 'are recorded in the order in which they end'],
    [
      'A run can have others as children.',
      '../kernel/children',
      'runs as a run of its own, and its output is the result of its key',
    ],
    [
      'A run that grows long can continue as a new one.',
      '../kernel/continue',
      'ends, and goes on as another run with the new input',
    ],
  ],
}
