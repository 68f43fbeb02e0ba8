import {
  allItems,
  canonicalJson,
  checkId,
  isStoreError,
  isTerminal,
  sha256,
  shown,
  type Json,
  type PostDraft,
  type RejectedPost,
  type RunRow,
} from '@varve/store'
import { artifactsIn } from '../artifacts/artifacts-in.ts'
import { touchArtifacts } from '../artifacts/touch-artifacts.ts'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { checkSignal, notInDoubt, SETTLEMENT } from '../driver/inputs.ts'
import type { Outcome } from '../driver/outcome.ts'
import { isKernelError, KernelError, type KernelErrorCode } from '../errors.ts'
import { detach } from '../log/detach.ts'
import type { ErrorInfo } from '../log/event-data.ts'
import { itemKeyOf, type LogEvent } from '../log/log-event.ts'
import { errorInfoOf } from '../policy/action-error.ts'
import { enter, eraseUnused, isRefusal, withSecrets, type NewSecret } from '../secrets/entering.ts'
import { isSameValue } from '../secrets/same-value.ts'
import { A_SPAN, isSpan } from '../time-span.ts'
import { readSystem } from '../views/read-fold.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { checkRecordable } from '../driver/recordable.ts'
import { runNotFound } from './run-not-found.ts'
import { moveIf, moveRun, type KernelParts } from './parts.ts'

/** A message to a run. */
export interface SignalOptions {
  readonly name: string
  /** Checked against the signal's schema, here and again when the run takes it. */
  readonly value: unknown
  /** A signal of the same id is taken once; a fork counts those that it is sent itself, not those that it has copied. Default: a new id. */
  readonly id?: string
  /** Who sent it; recorded. */
  readonly by?: string
  /** False: post it and return at once; whoever runs or recovers the run takes it. Default true. */
  readonly wait?: boolean
}

/** Why and how a run is canceled. */
export interface CancelOptions {
  readonly reason: string
  /** Who asked for it; recorded. */
  readonly by?: string
  /** How long the clean-up may take, in ms. Default: as long as it needs. */
  readonly graceMs?: number
  /** False: post it and return at once; whoever runs or recovers the run takes it. Default true. */
  readonly wait?: boolean
}

/** What became of an action in doubt. */
export interface SettleOptions {
  readonly key: string
  readonly outcome:
    | { readonly status: 'succeeded'; readonly output: unknown }
    | { readonly status: 'failed'; readonly message: string }
    /** It was not executed: try again. */
    | { readonly status: 'retry' }
  /** Who says so; recorded. */
  readonly by?: string
  /** False: post it and return at once; whoever runs or recovers the run takes it. Default true. */
  readonly wait?: boolean
}

/** Sends a signal and drives the run on. */
export async function signalRun(kernel: KernelParts, runId: string, signal: SignalOptions): Promise<Outcome> {
  const { env } = kernel
  const { name, id: signalId = env.newId(), by } = signal
  checkId('a signal id', signalId)
  if (typeof (name as unknown) !== 'string') {
    throw new KernelError('INVALID_INPUT', `the name of a signal must be a text, got ${shown(name)}`, { runId })
  }
  const row = await findRun(env, runId)
  const entered = enter(env, signal.value, 'signal')
  const value = detach(env, entered.value, 'signal')
  const definition = registered(env, row)
  // Its secrets are checked now: whoever takes it sees references.
  if (definition !== undefined) checkSignal(definition, name, entered.secrets.length > 0 ? signal.value : value)
  const data = { signalId, name, value, ...(by !== undefined && { by }) }
  checkRecordable(env, 'SignalReceived', data, 'signal')
  const body = canonicalJson(data)
  const post = { id: `signal:${sha256(signalId)}`, type: 'SignalReceived', body }
  return postAndMove(kernel, row, { post, secrets: entered.secrets, wait: signal.wait })
}

/** Asks a run to end, and drives it through its clean-up. Asking a second time ends it at once. */
export async function cancelRun(kernel: KernelParts, runId: string, options: CancelOptions): Promise<Outcome> {
  const { env } = kernel
  const { reason, by, graceMs } = options
  if (graceMs !== undefined && !isSpan(graceMs)) {
    throw new KernelError('INVALID_INPUT', `graceMs must be ${A_SPAN}, got ${shown(graceMs)}`, { runId })
  }
  const row = await findRun(env, runId)
  if (graceMs !== undefined) await env.clock.check()
  const grace = graceMs !== undefined && { graceUntil: Math.ceil(env.clock.now() + graceMs) }
  const data = { reason, ...(by !== undefined && { by }), ...grace }
  checkRecordable(env, 'CancelRequested', data, 'cancel')
  const post = { id: `cancel:${env.newId()}`, type: 'CancelRequested', body: canonicalJson(data) }
  return postAndMove(kernel, row, { post, wait: options.wait })
}

/** Says what became of an action in doubt, and drives the run on. */
export async function settleAction(kernel: KernelParts, runId: string, options: SettleOptions): Promise<Outcome> {
  const { env } = kernel
  const { key, outcome, by } = options
  checkVerdict(options)
  const row = await findRun(env, runId)
  const { recorded, secrets } = recordedOutcome(env, outcome)
  let last: LogEvent | undefined
  const system = await readSystem(env.store, runId, (event) => {
    if (itemKeyOf(event) === key) last = event
  })
  if (await isSettledSo(env, last, recorded, outcome)) return moveIf(kernel, runId, options.wait)
  if (isTerminal(row.status)) throw runTerminal(row, key)
  const item = system.open.get(key)
  if (item?.kind !== 'action' || !item.inDoubt) throw notInDoubt(runId, key)
  const said = { key, attempts: item.attempt, ...(by !== undefined && { by }) }
  if (recorded.status === 'failed') checkRecordable(env, 'ActionFailed', { ...said, error: recorded.error }, 'outcome')
  else if (recorded.status === 'succeeded') {
    checkRecordable(env, 'ActionSucceeded', { ...said, output: recorded.output }, 'outcome')
  }
  const body = canonicalJson({ key, outcome: recorded, ...(by !== undefined && { by }) })
  const post = { id: `settle:${sha256(`${item.attempt}\n${body}`)}`, type: SETTLEMENT, body }
  return postAndMove(kernel, row, { post, secrets, wait: options.wait })
}

type RecordedOutcome =
  | { readonly status: 'succeeded'; readonly output: Json }
  | { readonly status: 'failed'; readonly error: ErrorInfo }
  | { readonly status: 'retry' }

const VERDICTS: readonly unknown[] = ['succeeded', 'failed', 'retry']

/** One of no form would be set aside by the driver, when nobody may be waiting for it any more. */
function checkVerdict({ key, outcome }: SettleOptions): void {
  checkId('the key of an action', key)
  const { status, message } = Object(outcome) as { readonly status?: unknown; readonly message?: unknown }
  if (!VERDICTS.includes(status)) {
    const text = `outcome.status must be ${VERDICTS.join(' or ')}, got ${shown(status)}`
    throw new KernelError('INVALID_INPUT', text, { key })
  }
  if (status === 'failed' && typeof message !== 'string') {
    throw new KernelError('INVALID_INPUT', `outcome.message must be a text, got ${shown(message)}`, { key })
  }
}

interface Verdict {
  readonly recorded: RecordedOutcome
  readonly secrets: readonly NewSecret[]
}

function recordedOutcome(env: Environment, outcome: SettleOptions['outcome']): Verdict {
  if (outcome.status === 'succeeded') {
    const { value, secrets } = enter(env, outcome.output ?? null, 'output')
    return { recorded: { status: outcome.status, output: detach(env, value, 'output') }, secrets }
  }
  if (outcome.status === 'retry') return { recorded: { status: outcome.status }, secrets: [] }
  return { recorded: { status: outcome.status, error: errorInfoOf(new Error(outcome.message)) }, secrets: [] }
}

/** True when the item has closed in just the way that a verdict says. */
async function isSettledSo(
  env: Environment,
  last: LogEvent | undefined,
  verdict: RecordedOutcome,
  given: SettleOptions['outcome'],
): Promise<boolean> {
  if (last?.type === 'ActionSucceeded' && given.status === 'succeeded') {
    return isSameValue(env, last.data.output, given.output ?? null)
  }
  if (last?.type === 'ActionFailed' && verdict.status === 'failed') {
    return canonicalJson(last.data.error) === canonicalJson(verdict.error)
  }
  return false
}

/** @throws KernelError `RUN_NOT_FOUND`. */
export async function findRun(env: Environment, runId: string): Promise<RunRow> {
  checkId('a run id', runId)
  const row = await env.store.runs.find(runId)
  if (row === undefined) throw runNotFound(runId)
  return row
}

/** The code of a run, when it is registered here. */
export function registered(env: Environment, row: RunRow): Definition | undefined {
  try {
    return env.definitionOf(row)
  } catch (error) {
    if (isKernelError(error, 'WORKFLOW_MISSING')) return undefined
    throw error
  }
}

interface Posting {
  readonly post: PostDraft
  readonly secrets?: readonly NewSecret[]
  readonly wait: boolean | undefined
}

/** Posts, drives the run on, and says so when the driver set the post aside. A post that was kept before is not repeated. */
async function postAndMove(kernel: KernelParts, row: RunRow, { post, secrets = [], wait }: Posting): Promise<Outcome> {
  const { env, drives } = kernel
  const { runId } = row
  if (isTerminal(row.status) && post.type !== 'SignalReceived') throw runTerminal(row)
  const before = wait === false ? [] : await rejectionsOf(env, runId, post.id)
  await postTo(env, row, post, secrets)
  drives.posted(runId)
  if (wait === false) return { status: 'running', runId }
  const outcome = await moveRun(kernel, runId)
  // One that was set aside and is sent again may be taken this time.
  const rejections = await rejectionsOf(env, runId, post.id)
  const rejection = rejections.at(-1)
  if (rejection !== undefined && rejections.length > before.length) throw asError(rejection, runId)
  return outcome
}

/**
 * Posts, and keeps the secrets that the post refers to.
 *
 * @throws KernelError `RUN_NOT_FOUND` | `RUN_TERMINAL` also when the run went or ended meanwhile.
 */
export async function postTo(
  env: Environment,
  row: RunRow,
  post: PostDraft,
  secrets: readonly NewSecret[],
): Promise<void> {
  const options = { maxWaiting: env.limits.waitingPosts }
  await touchArtifacts(env, artifactsIn(post.body))
  // One whose answer was lost may have been taken by a run that is gone now, or be on its way still. It is no duplicate of
  // what a run that has ended knows, and comes too late for that.
  let unsure = false as boolean
  const send = async (): Promise<'kept' | 'duplicate'> => {
    try {
      return await env.store.inbox.post(row.runId, post, options)
    } catch (error) {
      unsure ||= isStoreError(error, 'UNKNOWN_OUTCOME')
      if (isStoreError(error, 'RUN_NOT_FOUND')) throw runNotFound(row.runId)
      if (isStoreError(error, 'RUN_TERMINAL')) throw runTerminal(row)
      throw error
    }
  }
  const isRefused = (error: unknown): boolean => (unsure ? isKernelError(error, 'RUN_TERMINAL') : isRefusal(error))
  const answer = await withSecrets(env, secrets, () => repeatable(env, send), isRefused)
  // The one that was kept has secrets of its own.
  if (answer === 'duplicate' && !unsure) await eraseUnused(env, secrets)
}

/** Something new for a run that has ended. */
export function runTerminal({ runId, status }: Pick<RunRow, 'runId' | 'status'>, key?: string): KernelError {
  const how = isTerminal(status) ? ` (${status})` : ''
  return new KernelError('RUN_TERMINAL', `run ${runId} has ended${how} and takes nothing new`, {
    runId,
    ...(key !== undefined && { key }),
  })
}

/** Why a post was set aside, or undefined when it was not. */
export async function rejectionOf(
  env: Environment,
  runId: string,
  id: string,
  key: string,
): Promise<KernelError | undefined> {
  const rejection = (await rejectionsOf(env, runId, id)).at(-1)
  return rejection && asError(rejection, runId, key)
}

/** Every time that a post of this id was set aside. */
async function rejectionsOf(env: Environment, runId: string, id: string): Promise<RejectedPost[]> {
  const rejections: RejectedPost[] = []
  for await (const post of allItems((page) => env.store.inbox.rejected(runId, page))) {
    if (post.id === id) rejections.push(post)
  }
  return rejections
}

function asError(rejection: RejectedPost, runId: string, key?: string): KernelError {
  const { code, message } = JSON.parse(rejection.error) as { readonly code: string; readonly message: string }
  const text = message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message
  return new KernelError(code as KernelErrorCode, text, { runId, ...(key !== undefined && { key }) })
}
