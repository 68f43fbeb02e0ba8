import { isCodedError, isStoreError, sealEvent, type Post, type RunUpdate, type SealedEvent } from '@varve/store'
import {
  APPEND_ARTIFACTS,
  artifactsIn,
  artifactsOf,
  checkArtifactCount,
  mayHaveArtifacts,
} from '../artifacts/artifacts-in.ts'
import { isKernelError, KernelError, textOf } from '../errors.ts'
import { asLogEvent, type LogDraft, type LogEvent } from '../log/log-event.ts'
import { errorInfoOf } from '../policy/action-error.ts'
import { askPolicy, denialOf } from '../policy/ask-policy.ts'
import { fixedLabelsOf, labelsOf } from '../policy/labels.ts'
import { decide, TURN_EVENTS } from '../run/decide.ts'
import { derivedRunId } from '../run/request-draft.ts'
import type { FindReusable } from '../run/reuse.ts'
import { applyEvent, type RunFold } from '../run/run-fold.ts'
import { holdFold, type HeldFold } from '../run/snapshot-body.ts'
import { applyToSystem, blockedOn, statusOf, wakeAt, type System } from '../run/system.ts'
import type { AnyAction } from '../workflow/action.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { Environment } from './environment.ts'
import type { Input } from './inputs.ts'
import { afterVeto } from './retry-veto.ts'
import { unrecordable } from './unrecordable.ts'

/** What a turn tells the row of its run. */
export type TurnUpdate = Pick<RunUpdate, 'status' | 'blockedOn' | 'wakeAt' | 'progressed'>

/** What one append carries. */
export interface Turn {
  readonly events: readonly SealedEvent[]
  /** Seq of the last event before the turn. */
  readonly expectedHead: number
  readonly log: readonly LogEvent[]
  readonly run: TurnUpdate
  /** Inputs left for the next append, because they do not fit into this one. */
  readonly rest: readonly Input[]
  /** True when there may be more to decide. */
  readonly more: boolean
  /** True when nothing was decided, because the run is about to be given up. */
  readonly paused?: true
  /** The fold before the decisions; absent when there were none, and at the end, which has a snapshot of its own. */
  readonly held?: HeldFold
  /** Why the run cannot go on after these events: its code failed on them. */
  readonly problem?: Error
}

/** What a turn is decided with. */
export interface TurnOptions {
  readonly definition: Definition
  /** Finds results that need not be executed again. */
  readonly reusable: FindReusable | undefined
  /** True when nothing is to be decided on a fold. */
  readonly holds: (system: System) => boolean
  /** True when what came in is to be appended before anything is decided on it. */
  readonly apart: boolean
  /** What time it is, Unix milliseconds. */
  readonly now: number
}

/** What came in and what is decided on it refer to more artifacts than one append can carry; the fold is not to be used afterwards. */
export class CrowdedTurn extends Error {}

/** A post that the log or the workflow cannot take; the fold is not to be used afterwards. */
export class UnfoldablePost extends Error {
  readonly postId: string

  constructor(postId: string, cause: unknown) {
    super('a post cannot be folded', { cause })
    this.postId = postId
  }
}

/**
 * Folds inputs, decides, and says what to append. A failure of the workflow's code never loses an input: what came in is
 * appended all the same, and the run is parked.
 *
 * @throws UnfoldablePost when the reducer fails on a post, or the log cannot keep it: it is then to be rejected.
 * @throws CrowdedTurn when the inputs are to be appended apart.
 */
export function takeTurn(
  env: Environment,
  fold: RunFold,
  { definition, reusable, holds, apart, now }: TurnOptions,
  inputs: readonly Input[],
): Turn {
  const { system } = fold
  const openBefore = system.open.size
  const at = Math.max(now, system.at)
  const taken = foldInputs(env, fold, definition, inputs, at)
  const closed = system.open.size < openBefore
  if (taken.problem !== undefined || taken.rest.length > 0) return turnOf(fold, taken, [], closed)
  if (holds(system)) return { ...turnOf(fold, taken, [], closed), run: runAgain(closed), paused: true }
  if (apart && taken.events.length > 0) {
    return { ...turnOf(fold, taken, [], closed), run: runAgain(closed), more: true }
  }
  const held = holdFold(fold)
  try {
    const verdict = env.policy.authorize
    const { actions, name } = definition
    const { events, more } = decide(fold, {
      definition,
      at,
      limits: env.limits,
      reusable,
      verdict: (request) => askPolicy(env.policy, () => denialOf(verdict?.(request), 'authorize')),
      unasked: verdict === undefined ? (action) => fixedLabelsOf(actions[action] as AnyAction) : undefined,
      labels: (action, input) => labelsOf(actions[action] as AnyAction, input, `${name}.${action}`),
      childRunId: (key) => derivedRunId(system.runId, key),
    })
    checkSize(env, events)
    checkLength(env, fold)
    checkArtifacts(system.runId, { taken: taken.events, decided: events, isNew: taken.expectedHead === 0 })
    const turn = turnOf(fold, taken, events, closed)
    turn.more = more
    if (isToBeAsked(system, definition)) turn.run = runAgain(closed)
    if (events.length > 0 && system.terminal === undefined) turn.held = held
    return turn
  } catch (error) {
    if (error instanceof CrowdedTurn) throw error
    const problem = problemOf(definition, error)
    // What was decided so far is dropped with the fold; nothing of it is in the log.
    return { ...turnOf(fold, taken, [], closed), run: runAgain(closed), problem }
  }
}

/** What the code answered, and nobody has checked, may throw when it is read: that is the code's failure, and parks the run. */
function problemOf({ name, version }: Definition, error: unknown): Error {
  if (isCodedError(error)) return error
  const text = `what the step of ${name}@${version} answered cannot be read: ${textOf(error)}`
  return new KernelError('STEP_FAILED', text, { cause: error })
}

/**
 * True while somebody can be asked about a doubt. The run stays due until the drive that asks gives it back: if that dies on the
 * way, another one asks.
 */
function isToBeAsked({ open, terminal }: System, { actions }: Definition): boolean {
  if (terminal !== undefined) return false
  for (const { action } of open.inDoubt()) if (actions[action]?.reconcile !== undefined) return true
  return false
}

/** A run may end beyond its limit, and keep what came in, but not go on. */
function checkLength({ limits }: Environment, { system }: RunFold): void {
  const { runId, end, terminal } = system
  if (terminal !== undefined || end.seq <= limits.runEvents) return
  const remedy = 'continue it as new, or split the work'
  const text = `run ${runId} would have ${end.seq} events, ${limits.runEvents} are allowed; ${remedy}`
  throw new KernelError('LIMIT_EXCEEDED', text, { runId, seq: end.seq })
}

function checkSize({ limits }: Environment, decided: readonly SealedEvent[]): void {
  const bytes = bytesOf(decided, limits.appendBytes / 2)
  if (bytes <= limits.appendBytes / 2) return
  const text = `the step decides ${bytes} bytes at once, ${limits.appendBytes / 2} are allowed; decide in smaller parts`
  throw new KernelError('LIMIT_EXCEEDED', text)
}

/** How many bytes the bodies have, or an upper bound of it that is within what is allowed: to count them takes longer. */
function bytesOf(events: readonly SealedEvent[], allowed: number): number {
  let bound = 0
  // A UTF-16 code unit takes at most 3 bytes.
  for (const { stored } of events) bound += stored.body.length * 3
  if (bound <= allowed) return bound
  let bytes = 0
  for (const { stored } of events) bytes += Buffer.byteLength(stored.body)
  return bytes
}

/** What an append is to hold. */
interface Together {
  readonly taken: readonly SealedEvent[]
  readonly decided: readonly SealedEvent[]
  /** True for a run that is being created: whole, or not at all. */
  readonly isNew: boolean
}

/** @throws StoreError `LIMIT_EXCEEDED` | CrowdedTurn when the decisions alone would do. */
function checkArtifacts(runId: string, { taken, decided, isNew }: Together): void {
  // Most turns refer to none.
  if (!taken.some(mayRefer) && !decided.some(mayRefer)) return
  const together = artifactsOf([...taken, ...decided].map(({ stored }) => stored))
  if (together.length <= APPEND_ARTIFACTS) return
  const alone = isNew ? together : artifactsOf(decided.map(({ stored }) => stored))
  checkArtifactCount(alone, `what the step of run ${runId} decides at once`, { runId })
  throw new CrowdedTurn()
}

function mayRefer({ stored }: SealedEvent): boolean {
  return mayHaveArtifacts(stored.body)
}

interface Taken {
  /** Seq of the last event before them. */
  readonly expectedHead: number
  readonly events: readonly SealedEvent[]
  readonly rest: readonly Input[]
  readonly problem: Error | undefined
}

function foldInputs(
  env: Environment,
  fold: RunFold,
  definition: Definition,
  inputs: readonly Input[],
  at: number,
): Taken {
  const { limits } = env
  const expectedHead = fold.system.end.seq
  const events: SealedEvent[] = []
  let artifacts: Set<string> | undefined
  let bytes = 0
  let problem: Error | undefined
  for (let i = 0; i < inputs.length; i++) {
    const given = inputs[i] as Input
    // An outcome that was handed in for an earlier attempt closes the action; no retry follows the failure then.
    const closes = given.draft.type === 'ActionAttemptFailed' && isOutcomeHandedIn(inputs.slice(i + 1), given.draft)
    const input = closes ? given : afterVeto(env, { system: fold.system, workflow: definition.name, at }, given)
    if (input === undefined) continue
    const sealed = sealInput(env, fold, input, at)
    bytes += Buffer.byteLength(sealed.stored.body)
    for (const id of artifactsIn(sealed.stored.body)) (artifacts ??= new Set()).add(id)
    // Room for a turn's decisions is kept free, so that the last append of a turn can carry them.
    const tooLarge = bytes > limits.appendBytes / 2 || (artifacts?.size ?? 0) > APPEND_ARTIFACTS
    const full = tooLarge || events.length >= limits.appendEvents - TURN_EVENTS
    if (full && events.length > 0) return { expectedHead, events, rest: inputs.slice(i), problem }
    problem = foldInput(fold, input, sealed, problem)
    events.push(sealed)
  }
  return { expectedHead, events, rest: [], problem }
}

/** An outcome of an earlier attempt, which its driver handed in after it had lost the run. */
function isOutcomeHandedIn(
  inputs: readonly Input[],
  { data }: Extract<LogDraft, { type: 'ActionAttemptFailed' }>,
): boolean {
  return inputs.some(({ draft }) => draft.type === 'ActionSucceeded' && draft.data.key === data.key)
}

/** @returns the first failure of the workflow's code, after which only the system half of the fold goes on. */
function foldInput(fold: RunFold, { post }: Input, sealed: SealedEvent, problem: Error | undefined): Error | undefined {
  const event = asLogEvent(sealed)
  if (problem !== undefined) {
    applyToSystem(fold.system, event)
    return problem
  }
  try {
    applyEvent(fold, event)
    return undefined
  } catch (error) {
    if (!isKernelError(error, 'REDUCER_FAILED') && !isKernelError(error, 'NONDETERMINISM')) throw error
    if (post !== undefined && !isReceipt(post)) throw new UnfoldablePost(post.id, error)
    return error
  }
}

/** What nobody sends again: it is appended whatever the workflow's code makes of it. */
function isReceipt({ type }: Post): boolean {
  return type === 'ChildCompleted' || type === 'ActionSucceeded'
}

/** A result that cannot be recorded is recorded as a failure that says why; a post is set aside. */
function sealInput(env: Environment, { system }: RunFold, { draft, post }: Input, at: number): SealedEvent {
  const { runId, end } = system
  const seal = (what: LogDraft): SealedEvent => sealEvent(runId, end, what, at, env.limits)
  try {
    const sealed = seal(draft)
    if (!mayRefer(sealed)) return sealed
    checkArtifactCount(artifactsIn(sealed.stored.body), `the ${draft.type} of run ${runId}`, {
      runId,
      seq: end.seq + 1,
    })
    return sealed
  } catch (error) {
    if (draft.type === 'ChildCompleted' && isStoreError(error)) {
      const { key, headHash } = draft.data
      return seal({ type: draft.type, data: { key, headHash, status: 'failed', error: errorInfoOf(error) } })
    }
    if (post !== undefined && isStoreError(error)) throw new UnfoldablePost(post.id, error)
    if (draft.type !== 'ActionSucceeded' || !isStoreError(error)) throw error
    const item = system.open.get(draft.data.key)
    if (item?.kind !== 'action') throw error
    const { usage } = draft.data
    return seal(unrecordable(item, error, usage === undefined ? {} : { usage }))
  }
}

function turnOf(fold: RunFold, taken: Taken, decided: readonly SealedEvent[], closed: boolean): TurnDraft {
  const events = [...taken.events, ...decided]
  const { rest, problem, expectedHead } = taken
  const again = rest.length > 0 || problem !== undefined
  const run = again ? runAgain(closed) : runUpdate(fold, closed)
  // No copies: every turn of every run is made here.
  const turn: TurnDraft = { events, expectedHead, log: events.map(asLogEvent), rest, run, more: false }
  if (problem !== undefined) turn.problem = problem
  return turn
}

type TurnDraft = { -readonly [K in keyof Turn]: Turn[K] }

function runAgain(progressed: boolean): TurnUpdate {
  return { status: 'running', blockedOn: [], wakeAt: 0, ...(progressed && { progressed }) }
}

/** The row of a run as its fold says. */
export function runUpdate({ system }: Pick<RunFold, 'system'>, progressed = false): TurnUpdate {
  const status = statusOf(system)
  const isBlocked = status === 'blocked'
  const wakesAt = isBlocked ? wakeAt(system) : status === 'running' ? 0 : null
  const update = { status, blockedOn: isBlocked ? blockedOn(system) : [], wakeAt: wakesAt }
  return progressed ? { ...update, progressed } : update
}
