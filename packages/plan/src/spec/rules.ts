/** Where a rule is shown. */
export interface RuleTest {
  /** Of the original engine, by its number in section 2 of its specification. */
  readonly rule: string
  /** What happens here; said where it is not what the rule says. */
  readonly instead?: string
  /** Relative to this folder, without `.test.ts`. */
  readonly file: string
  /** Title of the test. */
  readonly test: string
}

const START = '../engine/start'
const RESUME = '../engine/resume'
const STATES = '../engine/states'
const GRAPH = '../definition/graph'
const IO = '../engine/io'
const SECRETS = '../engine/secrets'
const LAWS = '../engine/laws'

type Row = readonly [rule: string, file: string, test: string, instead?: string]

const MAKES_IT = 'The engine makes the manifest itself, from what it starts.'
const KEPT_FIRST = 'keeps the manifest before the first event, which pins it'
const ANSWERED = 'is answered from its log: nothing is appended, no plan is needed, nothing runs'
const MANIFEST = 'whose manifest is %s says so, and is driven when it is back'
const LOG = 'whose log %s is refused, and nothing runs or is written'
const AGAIN = 'runs the state again that was under way, as its next attempt under the same key'

const starting: readonly Row[] = [
  ['ST-1', LAWS, 'one state at a time and many at once make the same artifacts, and the same ends', 'Fan-out runs.'],
  ['ST-1', START, 'with a config of %s is refused', 'A config that is none is refused.'],
  ['ST-2', SECRETS, 'are refused with the number %d, at its path'],
  [
    'ST-3',
    SECRETS,
    'are refused with the number %d, at its path',
    'The config may allow them, which the manifest says.',
  ],
  ['ST-4', SECRETS, 'are refused with %s, at its path and without its text'],
  ['ST-5', START, KEPT_FIRST, MAKES_IT],
  ['ST-6', START, KEPT_FIRST, MAKES_IT],
  ['ST-7', START, KEPT_FIRST, MAKES_IT],
  [
    'ST-8',
    GRAPH,
    'for the first of its faults in the order empty, duplicate, missing, circle',
    'A plan is checked when it is defined.',
  ],
  ['ST-9', START, 'while %s fails writes no run, and can be repeated'],
  ['ST-10', START, KEPT_FIRST, MAKES_IT],
  ['ST-11', RESUME, MANIFEST, 'It is made anew when a run starts, and checked whenever it is read.'],
  [
    'ST-12',
    START,
    'from another build with the same plan is the same run',
    'The run has the manifest that it was started with.',
  ],
  [
    'ST-13',
    START,
    'with params that fail their schema writes nothing, and names their path',
    'Params stand for the initial context.',
  ],
  ['ST-14', SECRETS, 'are refused with %s, at its path and without its text', 'Params stand for the initial context.'],
  ['ST-15', START, KEPT_FIRST],
  [
    'ST-15',
    START,
    'under a known id with the same plan, params and config returns that run',
    'A run id that is given names one run.',
  ],
  ['ST-16', GRAPH, 'that lacks a state which another one needs, by its id', 'There is no plan that could be started.'],
  ['ST-17', START, 'while %s fails writes no run, and can be repeated'],
]

const resuming: readonly Row[] = [
  ['RS-1', RESUME, 'that is not there is RUN_NOT_FOUND for every verb'],
  ['RS-2', RESUME, LOG],
  [
    'RS-3',
    IO,
    'with another request under the same fact is refused, and not sent',
    'A fact is an event of the kernel, with its request.',
  ],
  ['RS-4', RESUME, LOG],
  ['RS-5', RESUME, LOG, 'Each event holds the hash of the one before, the first that of the run id.'],
  ['RS-6', RESUME, LOG],
  ['RS-7', RESUME, 'whose log %s is refused, and nothing runs or is written', 'A second beginning is refused, too.'],
  ['RS-8', RESUME, ANSWERED],
  [
    'RS-8',
    RESUME,
    'by a failure is answered also when its manifest is gone',
    'The manifest is read only to read an output.',
  ],
  ['RS-9', RESUME, MANIFEST],
  ['RS-10', RESUME, MANIFEST],
  ['RS-11', LAWS, 'one state at a time and many at once make the same artifacts, and the same ends', 'Fan-out runs.'],
  [
    'RS-12',
    RESUME,
    'since its plan changed says where, and writes nothing',
    'The first event pins the plan by its hash.',
  ],
  ['RS-13', RESUME, 'whose resolver does not know it, or gives another version, is PLAN_MISSING'],
  ['RS-14', RESUME, 'whose resolver does not know it, or gives another version, is PLAN_MISSING'],
  [
    'RS-15',
    RESUME,
    'since its plan changed says where, and writes nothing',
    'Any change of the plan is refused, with the difference.',
  ],
  [
    'RS-16',
    RESUME,
    'run each state once, and both answer with its end',
    'An append names the head that was folded; nobody reads it again.',
  ],
  ['RS-17', RESUME, AGAIN],
  ['RS-17', RESUME, 'keeps what it had asked the outside world, and asks it only once'],
  ['RS-17', STATES, 'is not run again after a crash', 'What may run only once is in doubt.'],
  ['RS-18', RESUME, AGAIN, 'A crash is recorded as such, in the append that goes on, and never as a failure.'],
  ['RS-19', RESUME, 'since its plan changed says where, and writes nothing'],
  ['RS-20', RESUME, 'cannot die between its last result and its end: they share an append', 'There is no such moment.'],
  [
    'RS-21',
    STATES,
    'ends with the last attempt, and the run fails as a value',
    'The last failure and the end share an append.',
  ],
  ['RS-22', STATES, 'waits its delay on the clock, also over a crash', 'The delay is kept.'],
  ['RS-23', RESUME, 'is taken up where it stood, and runs no state again that had made its output'],
  [
    'RS-24',
    RESUME,
    'may die any number of times, one append further each time',
    'No number of crashes makes a log that cannot be resumed.',
  ],
  ['RS-25', RESUME, AGAIN, 'A crash uses up no attempt, and none is allowed more than one here.'],
]

const executing: readonly Row[] = [
  ['EX-1', LAWS, 'one state at a time and many at once make the same artifacts, and the same ends', 'Fan-out runs.'],
  [
    'EX-2',
    GRAPH,
    'for the first of its faults in the order empty, duplicate, missing, circle',
    'A plan is checked when it is defined.',
  ],
  [
    'EX-3',
    '../schedule/plan-stepper',
    'of another plan than the run was started with is refused',
    'No state is begun by its name.',
  ],
  ['EX-4', RESUME, 'is taken up where it stood, and runs no state again that had made its output'],
  ['EX-5', RESUME, 'since its plan changed says where, and writes nothing', 'A plan never drifts.'],
  [
    'EX-6',
    STATES,
    'tries again after what may pass, and counts attempts from 1',
    'Attempts count from 1; a state sees what it needs.',
  ],
  [
    'EX-7',
    STATES,
    'do not run, nor what needs them; what comes after them does',
    'What needs a skipped state is skipped, unless it says optional.',
  ],
  ['EX-8', STATES, 'tries again after what may pass, and counts attempts from 1'],
  ['EX-8', STATES, 'waits its delay on the clock, also over a crash', 'The policy is the state\u2019s own.'],
  ['EX-9', STATES, 'the run fails at once, and what was not begun is canceled'],
  [
    'EX-9',
    LAWS,
    'keep-going runs exactly what does not depend on a failure, and the view says what ran',
    'A run may be told to keep going.',
  ],
  ['EX-10', SECRETS, 'is no part of an error that shows it'],
  ['EX-11', SECRETS, 'is in no fact', 'States emit no events of their own.'],
  ['EX-12', SECRETS, 'is in no fact', 'The value is taken out, so that the answer is not lost.'],
  ['EX-13', IO, 'is asked for once, whatever is tried again'],
  ['EX-13', IO, 'is shared by all states of a run, and by no other run'],
  ['EX-14', IO, 'are recorded, each by its place'],
  ['EX-15', IO, 'makes the same from what was recorded, without the outside world'],
  ['EX-16', IO, 'that asks for what was not recorded says so'],
  [
    'EX-17',
    LAWS,
    'a process that dies anywhere, and another one after it, leave the artifacts of one that did not',
    'Failpoints are in the store and in the tests.',
  ],
  ['EX-18', STATES, 'that is no JSON fails the state', 'It is a failure of the state, and ends.'],
  ['EX-19', START, 'without waiting records the run, and whoever runs it executes it'],
  ['EX-20', RESUME, 'run each state once, and both answer with its end', 'Whoever comes second follows.'],
]

/** Every rule with the tests that show it. */
export const ruleTests: readonly RuleTest[] = [...starting, ...resuming, ...executing].map(
  ([rule, file, test, instead]) => ({ rule, file, test, ...(instead !== undefined && { instead }) }),
)

/** Names of all rules: of starting (ST), of resuming (RS), of executing (EX). */
export const ruleNames: readonly string[] = Object.entries({ ST: 17, RS: 25, EX: 20 }).flatMap(([name, count]) =>
  Array.from({ length: count }, (_, i) => `${name}-${i + 1}`),
)
