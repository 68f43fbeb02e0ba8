/** A test that shows a weakness absent: how it is so, the file relative to this folder, the title. */
type Shown = readonly [why: string, file: string, test: string]

const RESUME = '../engine/resume'
const STATES = '../engine/states'
const IO = '../engine/io'
const CHILDREN = '../engine/child-plans'
const SECRETS = '../engine/secrets'
const KERNEL = '../../../kernel/src'

/** Weaknesses of the original engine, by their number in section 3 of its specification. */
export const weaknesses: Readonly<Record<string, readonly Shown[]>> = {
  'W-1': [['Any number of crashes.', RESUME, 'may die any number of times, one append further each time']],
  'W-2': [
    [
      'A crash is no failure.',
      RESUME,
      'runs the state again that was under way, as its next attempt under the same key',
    ],
  ],
  'W-3': [['One of two resumers drives.', RESUME, 'run each state once, and both answer with its end']],
  'W-4': [
    [
      'Every append is fenced.',
      `${KERNEL}/driver/lease`,
      'that was lost unnoticed is noticed by the append, which is fenced, and the outcome is handed in',
    ],
  ],
  'W-5': [
    ['An effect is requested before it is done.', STATES, 'is not run again after a crash'],
    ['Its outcome is settled.', STATES, 'is in doubt when it throws, and goes on when somebody says what became of it'],
    ['A receipt is kept.', STATES, 'that is under way when another one fails is waited for, and its receipt is kept'],
  ],
  'W-6': [['The request is hashed.', IO, 'with another request under the same fact is refused, and not sent']],
  'W-7': [['States cannot make facts of the engine.', IO, 'may not be called as those of the engine are']],
  'W-8': [
    [
      'All is checked first.',
      '../engine/start',
      'with params that fail their schema writes nothing, and names their path',
    ],
    [
      'A plan is whole.',
      '../definition/graph',
      'for the first of its faults in the order empty, duplicate, missing, circle',
    ],
  ],
  'W-9': [
    ['The plan is pinned.', RESUME, 'since its plan changed says where, and writes nothing'],
    [
      'It can be changed.',
      RESUME,
      'since its plan changed goes on as a fork with the new plan, where what changed runs again',
    ],
  ],
  'W-10': [
    ['A bad output is a failure.', STATES, 'that is no JSON fails the state'],
    [
      'Crashes in a row are bounded.',
      `${KERNEL}/driver/poison`,
      'once more is poisoned: parked for good, with nothing started and nothing written',
    ],
  ],
  'W-11': [
    [
      'States run in parallel.',
      '../engine/laws',
      'one state at a time and many at once make the same artifacts, and the same ends',
    ],
  ],
  'W-12': [
    ['Cancel.', STATES, 'aborts what is under way, and states say that they were canceled'],
    ['Approvals.', '../engine/approvals', 'a yes lets the plan go on, with who said so and why'],
    ['Timeouts.', STATES, 'an attempt that takes longer than its timeout is aborted and fails'],
  ],
  'W-13': [['Retry is a state\u2019s own, and kept.', STATES, 'waits its delay on the clock, also over a crash']],
  'W-14': [
    ['Outputs are shared.', '../engine/cache', 'is taken over from any run that made it from the same'],
    ['Early cut-off.', '../engine/cache', 'is cut off early: what comes out the same runs nothing behind it'],
    ['It says why.', '../engine/cache', 'says which param changed, with the hash before and now'],
  ],
  'W-15': [
    ['One artifact per state.', STATES, 'never enters the log, however large it is'],
    [
      'A fold can be kept.',
      '../schedule/plan-stepper',
      'is the same from a state that was kept after any prefix and continued: %o',
    ],
  ],
  'W-16': [
    ['Collected.', '../engine/keeping', 'is what no run, no cache entry and no pin refers to, after its time of grace'],
    ['A dry run.', '../engine/keeping', 'in a dry run is told, and stays'],
  ],
  'W-17': [
    ['One run per id.', '../engine/start', '32 times at once, from %d engines, is one run whose state ran once'],
    ['Nobody has to wait.', '../engine/start', 'without waiting records the run, and whoever runs it executes it'],
  ],
  'W-18': [
    ['Found again.', CHILDREN, 'a parent whose process died while its child ran finds the same child'],
    ['Cancel goes on.', CHILDREN, 'a cancel of the parent cancels its child'],
    ['Depth is bounded.', CHILDREN, 'children nest as deep as the config allows, and no deeper'],
  ],
  'W-19': [
    ['Any run is replayed.', IO, 'makes the same from what was recorded, without the outside world'],
    ['Compared.', '../engine/views', 'names params and the states whose outputs differ'],
    ['Forked.', '../engine/cache', 'of a state in a fork says what was taken over, run again or replaced'],
  ],
  'W-20': [['By place, over crashes.', IO, 'are the same after a crash, and others in a true retry']],
  'W-21': [['A chain of hashes.', RESUME, 'whose log %s is refused, and nothing runs or is written']],
  'W-22': [
    ['Pure states have no io.', '../engine/cache', 'has no io, also when its code is no TypeScript'],
    ['A config that does nothing is refused.', '../engine/start', 'with a config of %s is refused'],
  ],
  'W-23': [
    [
      'The path of a circle.',
      '../definition/graph',
      'with a circle, whose path it tells in the direction in which states run',
    ],
  ],
  'W-24': [
    ['Found by name and by shape.', SECRETS, 'are refused with %s, at its path and without its text'],
    ['Referred to by name.', SECRETS, 'is seen by the state, and nowhere in log, artifacts or views'],
    ['Allowed where it is none.', SECRETS, 'are taken where the config allows them, which the manifest says'],
  ],
  'W-25': [['Numbers that all can read.', SECRETS, 'are refused with the number %d, at its path']],
  'W-26': [['One grammar.', RESUME, 'whose log %s is refused, and nothing runs or is written']],
  'W-27': [['A throw is a failure.', STATES, 'does not try again after a plain error, which is permanent']],
  'W-28': [
    [
      'Result and next share an append.',
      RESUME,
      'cannot die between its last result and its end: they share an append',
    ],
  ],
  'W-29': [
    ['A stream.', '../engine/views', 'begins with all states and ends with the run, and its count never goes back'],
  ],
  'W-30': [
    ['The end comes first.', RESUME, 'is answered from its log: nothing is appended, no plan is needed, nothing runs'],
  ],
  'W-31': [['Waiting is durable.', STATES, 'waits its delay on the clock, also over a crash']],
  'W-32': [
    [
      'No plan replaces another.',
      '../engine/start',
      'with another plan under an id and version that are known is refused',
    ],
  ],
}
