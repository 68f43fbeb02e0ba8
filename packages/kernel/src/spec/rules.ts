/** Where a rule is tested. */
export interface RuleTest {
  /** Of the rule in the specification of the original kernel, section 2. */
  readonly rule: string
  readonly file: 'driver' | 'guard' | 'log' | 'policy'
  /** Title of the test. */
  readonly test: string
}

/** Names of all rules: the driver's (D), those of the execution log (L), the store's contract (C), further ones (X). */
export const ruleNames: readonly string[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].map((n) => `D${n}`),
  ...[1, 2, 3, 4, 5].map((n) => `L${n}`),
  ...[1, 2, 3, 4, 5, 6].map((n) => `C${n}`),
  ...['hash is deterministic', 'hash mismatch fails', 'repeated replay', 'policy: permanent', 'policy: transient'],
  ...['policy: hint', 'policy: exponential', 'cursor: from scratch', 'cursor: from checkpoint', 'cursor: step by step'],
  ...['verifier: nonexistent', 'verifier: unmatched interrupt', 'verifier: unmatched resume', 'verifier: paired'],
  ...['timeline', 'snapshots out of order', 'guard_normal_allows_clock', 'guard_replay_traps_clock'],
  ...['guard_verify_traps_spawn', 'guard: modes'],
]

/** Every rule with the test that shows it. A rule whose default differs in Varve has a second test for the default. */
export const ruleTests: readonly RuleTest[] = [
  { rule: 'D1', file: 'driver', test: 'a step that completes ends the run' },
  { rule: 'D2', file: 'guard', test: 'a replay traps the clock' },
  { rule: 'D3', file: 'driver', test: 'the effect sink gets the state write, and nothing for the end' },
  { rule: 'D4', file: 'driver', test: 'the timeline of a completed run has its events and is JSON' },
  { rule: 'D5', file: 'driver', test: 'a run that one kernel blocked is resumed by another kernel on the same store' },
  {
    rule: 'D5',
    file: 'driver',
    test: 'without onDrift the other kernel parks that run, because its step decides otherwise than recorded',
  },
  { rule: 'D6', file: 'driver', test: 'a replay executes nothing' },
  { rule: 'D7', file: 'driver', test: 'replaying twice gives the same state, that of the last StateUpdated' },
  {
    rule: 'D8',
    file: 'driver',
    test: 'an action that fails twice transiently and then succeeds is recorded as one success',
  },
  {
    rule: 'D9',
    file: 'driver',
    test: 'an error without a class is permanent: the run fails as a value, with request and failure in the log',
  },
  {
    rule: 'D10',
    file: 'driver',
    test: 'a replay from a snapshot folds only what lies behind it, and takes its state',
  },
  {
    rule: 'D11',
    file: 'driver',
    test: 'a failure that the action answers is not retried and is recorded once under the key of its request',
  },
  { rule: 'D12', file: 'driver', test: 'retries do not repeat the request' },
  { rule: 'D13', file: 'driver', test: 'exhausted retries leave one failure, with the last error' },
  { rule: 'D14', file: 'driver', test: 'a completed run has a snapshot of its last event' },
  { rule: 'D15', file: 'driver', test: 'a run that blocks has a snapshot of its initial state' },
  { rule: 'D16', file: 'driver', test: 'a run is continued from its snapshot, and only the tail is folded' },
  {
    rule: 'D16',
    file: 'driver',
    test: 'without onDrift that run is parked, because the step would not have written the tail',
  },
  { rule: 'L1', file: 'log', test: 'has one entry per event, with run, position, step and type' },
  { rule: 'L2', file: 'log', test: 'names the step of a state update' },
  { rule: 'L3', file: 'log', test: 'names no step where an event has none' },
  { rule: 'L4', file: 'log', test: 'names the action of a request, as the trace of the run does' },
  { rule: 'L5', file: 'log', test: 'has equal state hashes before and after Completed' },
  { rule: 'C1', file: 'log', test: 'an append writes all its events or none' },
  { rule: 'C2', file: 'log', test: 'every event has a seq, and the head is the last one' },
  { rule: 'C3', file: 'log', test: 'a read begins with its first seq, in ascending order' },
  { rule: 'C4', file: 'log', test: 'an unknown run has no events and no head' },
  { rule: 'C5', file: 'log', test: 'every request is matched by exactly one outcome of the same key' },
  { rule: 'C6', file: 'log', test: 'an error shows what failed first in its text' },
  { rule: 'hash is deterministic', file: 'log', test: 'the same events have the same hash' },
  {
    rule: 'hash mismatch fails',
    file: 'log',
    test: 'a log whose events are not those that were hashed is refused',
  },
  {
    rule: 'repeated replay',
    file: 'log',
    test: 'replaying again and again changes neither the state nor the hash',
  },
  { rule: 'policy: permanent', file: 'policy', test: 'a permanent failure is not retried' },
  {
    rule: 'policy: transient',
    file: 'policy',
    test: 'a transient failure is retried twice with three attempts, and then no more',
  },
  { rule: 'policy: hint', file: 'policy', test: 'the delay that the other side asks for wins over our own' },
  { rule: 'policy: exponential', file: 'policy', test: 'exponential delays double: 50, 100, 200' },
  { rule: 'cursor: from scratch', file: 'log', test: 'a replay from the beginning gives the last state' },
  {
    rule: 'cursor: from checkpoint',
    file: 'driver',
    test: 'a replay from a snapshot folds only what lies behind it, and takes its state',
  },
  {
    rule: 'cursor: step by step',
    file: 'log',
    test: 'a walk through the log shows the state after each event, and then ends',
  },
  { rule: 'verifier: nonexistent', file: 'log', test: 'a run that does not exist is not found' },
  { rule: 'verifier: unmatched interrupt', file: 'log', test: 'a question without an answer leaves the run blocked' },
  { rule: 'verifier: unmatched resume', file: 'log', test: 'an answer without a question cannot stand in a log' },
  { rule: 'verifier: paired', file: 'log', test: 'a question with its answer is in order' },
  {
    rule: 'timeline',
    file: 'log',
    test: 'a timeline has the events in order and how the run stands, and survives JSON',
  },
  {
    rule: 'snapshots out of order',
    file: 'log',
    test: 'saved out of order, the one with the highest seq is the latest',
  },
  { rule: 'guard_normal_allows_clock', file: 'guard', test: 'without a guard a run may use the clock' },
  {
    rule: 'guard_normal_allows_clock',
    file: 'guard',
    test: 'a run traps the clock as its replay does, unless the guard is off',
  },
  { rule: 'guard_replay_traps_clock', file: 'guard', test: 'a replay traps the clock' },
  { rule: 'guard_verify_traps_spawn', file: 'guard', test: 'verification traps the start of a process' },
  { rule: 'guard: modes', file: 'guard', test: 'replay and verification trap or not as the kernel is told' },
]
