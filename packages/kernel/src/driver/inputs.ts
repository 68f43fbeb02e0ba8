import { shown, type Json, type Post } from '@varve/store'
import { z } from 'zod'
import { KernelError, textOf } from '../errors.ts'
import { errorInfoSchema, eventSchemas, jsonSchema } from '../log/event-data.ts'
import { itemKeyOf, type LogDraft } from '../log/log-event.ts'
import type { OpenAction, OpenWait } from '../run/item.ts'
import type { System } from '../run/system.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { parse } from '../workflow/schema.ts'

/** Something that reached a run from outside its step, with the post that brought it. */
export interface Input {
  readonly draft: LogDraft
  readonly post?: Post
}

/** Ids of the posts that brought them. */
export function postsOf(inputs: readonly Input[]): readonly string[] {
  const ids: string[] = []
  for (const { post } of inputs) if (post !== undefined) ids.push(post.id)
  return ids
}

/**
 * An attempt that was under way when its driver died: recorded as abandoned and begun anew under the same key, or as in
 * doubt when it must not happen twice.
 */
export function orphanInputs(system: System): Input[] {
  const inputs: Input[] = []
  for (const item of system.open.values()) {
    if (item.kind !== 'action' || !item.attempting) continue
    const { key, attempt } = item
    if (item.effect === 'at-most-once') {
      inputs.push({ draft: { type: 'ActionInDoubt', data: { key, attempt, reason: 'its process died' } } })
      continue
    }
    inputs.push({ draft: { type: 'ActionAttemptAbandoned', data: { key, attempt } } })
    inputs.push({ draft: nextAttempt(item) })
  }
  return inputs
}

function nextAttempt({ key, attempt }: OpenAction): LogDraft {
  return { type: 'ActionAttemptStarted', data: { key, attempt: attempt + 1 } }
}

/**
 * What time alone brings about: later attempts, timers, timeouts, expiries, the deadline. An
 * attempt that was abandoned is due at once: whoever recorded that may have died before it could begin the next.
 */
export function dueInputs(system: System, now: number, incoming: readonly Input[]): Input[] {
  const inputs: Input[] = []
  let known: ReadonlySet<string | undefined> | undefined
  let over: ((wait: OpenWait) => boolean) | undefined
  let doomed: ReadonlySet<string> | undefined
  const cancels = incoming.some(({ draft }) => draft.type === 'CancelRequested')
  for (const item of system.open.due(now)) {
    known ??= new Set(incoming.map(({ draft }) => itemKeyOf(draft)))
    if (known.has(item.key)) continue
    if (item.kind === 'action') {
      // What is about to be given up is not begun anew.
      doomed ??= new Set(system.cancel?.doomed)
      if (!cancels && !doomed.has(item.key)) inputs.push({ draft: nextAttempt(item) })
      continue
    }
    // A signal that came in time closes its wait, however late its run is driven.
    if (item.kind === 'wait' && !(over ??= waitsThatAreOver(system, now, incoming))(item)) continue
    inputs.push({ draft: { type: DUE[item.kind], data: { key: item.key } } })
  }
  const due = runDue(system, now)
  // A request to cancel that is about to be taken is not the second one.
  if (due !== undefined && !cancels) inputs.push(due)
  return inputs
}

/** Finds the waits for which no signal came in time: each takes the first one that the waits before it have left. */
function waitsThatAreOver(system: System, now: number, incoming: readonly Input[]): (wait: OpenWait) => boolean {
  const signals = timesOf(system, incoming)
  const overOf = (name: string, times: readonly number[]): ReadonlySet<OpenWait> => {
    const closed = new Set(incoming.map(({ draft }) => itemKeyOf(draft)))
    const waits = system.open.waits(name).filter(({ key }) => !closed.has(key))
    let left = 0
    const over = waits.filter(({ fireAt = Infinity }) => {
      const isOver = fireAt <= now && (times[left] ?? Infinity) >= fireAt
      if (!isOver) left++
      return isOver
    })
    return new Set(over)
  }
  const found = new Map<string, ReadonlySet<OpenWait>>()
  return (wait) => {
    const { signal } = wait
    const times = signals.get(signal)
    if (times === undefined) return true
    const over = found.get(signal) ?? overOf(signal, times)
    found.set(signal, over)
    return over.has(wait)
  }
}

/** When the signals of each name came, Unix milliseconds: those that are in the log came before. */
function timesOf({ signals }: System, incoming: readonly Input[]): ReadonlyMap<string, readonly number[]> {
  const times = new Map<string, number[]>()
  const add = (name: string, at: number): void => {
    const known = times.get(name)
    if (known === undefined) times.set(name, [at])
    else known.push(at)
  }
  for (const { name } of signals) add(name, -Infinity)
  for (const { draft, post } of incoming) {
    if (draft.type === 'SignalReceived') add(draft.data.name, post?.postedAt ?? -Infinity)
  }
  return times
}

const DUE = { timer: 'TimerFired', wait: 'WaitTimedOut', interrupt: 'InterruptExpired' } as const

function runDue({ started, cancel, terminal }: System, now: number): Input | undefined {
  if (terminal !== undefined) return undefined
  if (cancel !== undefined) {
    if (cancel.requests > 1 || cancel.graceUntil === undefined || cancel.graceUntil > now) return undefined
    return { draft: { type: 'CancelRequested', data: { reason: 'the time for the clean-up is over' } } }
  }
  if (started?.deadlineAt === undefined || started.deadlineAt > now) return undefined
  return { draft: { type: 'CancelRequested', data: { reason: 'the deadline has passed', code: 'DEADLINE_EXCEEDED' } } }
}

/** What an answer is posted as. */
export interface Answer {
  readonly key: string
  readonly value: Json
  readonly by?: string | undefined
}

/** An answer as it was given: its secrets are marked, and not replaced yet. */
export type GivenAnswer = Omit<Answer, 'value'> & { readonly value: unknown }

const by = z.string().max(1000).optional()

/** Post type of a verdict on an action in doubt. */
export const SETTLEMENT = 'ActionSettled'

/** How an action in doubt is settled. */
const settlementSchema = z.strictObject({
  key: z.string(),
  outcome: z.union([
    z.strictObject({ status: z.literal('succeeded'), output: jsonSchema }),
    z.strictObject({ status: z.literal('failed'), error: errorInfoSchema }),
    z.strictObject({ status: z.literal('retry') }),
  ]),
  by,
})

/** What bounds the signals of a run. */
export interface SignalRoom {
  readonly keptSignals: number
  /** Names of those that are taken in the same turn, before this one. */
  readonly pending: readonly string[]
}

/** A verdict on an action in doubt, as it is posted. */
export type Settlement = z.infer<typeof settlementSchema>

/**
 * The event that a post becomes.
 *
 * @throws KernelError `NOT_OPEN` | `INVALID_INPUT` | `LIMIT_EXCEEDED` for a post that can never be taken.
 */
export function postInput(system: System, definition: Definition, room: SignalRoom, post: Post): Input {
  const body = bodyOf(post)
  switch (post.type) {
    case 'Resumed':
      return { post, draft: answered(system, definition, post, read(post, eventSchemas.Resumed, body)) }
    case 'SignalReceived':
      return { post, draft: signaled(system, definition, room, read(post, eventSchemas.SignalReceived, body)) }
    case 'CancelRequested':
      return { post, draft: { type: post.type, data: read(post, eventSchemas.CancelRequested, body) } }
    case 'ChildCompleted': {
      const data = read(post, eventSchemas.ChildCompleted, body)
      if (system.open.get(data.key)?.kind !== 'child') throw notOpen(system.runId, data.key, 'child')
      return { post, draft: { type: post.type, data } }
    }
    case 'ActionSucceeded':
      return { post, draft: handedIn(system, read(post, eventSchemas.ActionSucceeded, body)) }
    case SETTLEMENT:
      return { post, draft: settled(system, read(post, settlementSchema, body)) }
    default:
      throw new KernelError('INVALID_INPUT', `post ${post.id} is a ${post.type} that this release cannot take`)
  }
}

function bodyOf(post: Post): unknown {
  try {
    return JSON.parse(post.body)
  } catch (cause) {
    throw new KernelError('INVALID_INPUT', `post ${post.id} is not JSON: ${textOf(cause)}`, { cause })
  }
}

function read<T>(post: Post, schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const { path = [], message = 'wrong shape' } = result.error.issues[0] ?? {}
  const where = [post.type, ...path].join('.')
  throw new KernelError('INVALID_INPUT', `post ${post.id} is no ${post.type}: ${where}: ${message}`)
}

function answered(system: System, definition: Definition, { postedAt }: Post, answer: Answer): LogDraft {
  const { key, by } = answer
  const item = system.open.get(key)
  // An expiry that nobody was there to record is one all the same.
  const isOpen = item?.kind === 'interrupt' && postedAt < (item.fireAt ?? Infinity)
  if (!isOpen) throw notOpen(system.runId, key, 'interrupt')
  const value = checkAnswer(definition, item.interrupt, answer)
  return { type: 'Resumed', data: { key, value, ...(by !== undefined && { by }) } }
}

type SignalData = z.infer<typeof eventSchemas.SignalReceived>

function signaled(system: System, definition: Definition, room: SignalRoom, signal: SignalData): LogDraft {
  const kept = system.signals.length + room.pending.length
  if (kept >= room.keptSignals && !isAwaitedNow(system, room, signal.name)) {
    const text = `${kept} signals are kept for run ${system.runId}; wait for them before more are sent`
    throw new KernelError('LIMIT_EXCEEDED', text, { runId: system.runId })
  }
  return { type: 'SignalReceived', data: { ...signal, value: checkSignal(definition, signal.name, signal.value) } }
}

/** True for a signal that is not kept at all, because a wait takes it at once. */
function isAwaitedNow({ open }: System, { pending }: SignalRoom, name: string): boolean {
  return open.waitsFor(name) > pending.filter((other) => other === name).length
}

/** The outcome of an attempt whose driver had lost the run: better than trying again. */
function handedIn(system: System, data: z.infer<typeof eventSchemas.ActionSucceeded>): LogDraft {
  const item = system.open.get(data.key)
  if (item?.kind !== 'action' || data.attempts > item.attempt) throw notOpen(system.runId, data.key, 'action')
  return { type: 'ActionSucceeded', data }
}

function settled(system: System, { key, outcome, by }: Settlement): LogDraft {
  const item = system.open.get(key)
  if (item?.kind !== 'action' || !item.inDoubt) throw notInDoubt(system.runId, key)
  const { attempt: attempts } = item
  const who = by !== undefined && { by }
  if (outcome.status === 'succeeded') {
    return { type: 'ActionSucceeded', data: { key, attempts, output: outcome.output, ...who } }
  }
  if (outcome.status === 'failed')
    return { type: 'ActionFailed', data: { key, attempts, error: outcome.error, ...who } }
  return nextAttempt(item)
}

/** What the schema of an interrupt makes of an answer. @throws KernelError `INVALID_INPUT`. */
export function checkAnswer(definition: Definition, interrupt: string, { key, value }: GivenAnswer): Json {
  const spec = Object.hasOwn(definition.interrupts, interrupt) ? definition.interrupts[interrupt] : undefined
  return spec === undefined ? (value as Json) : parse(spec.answer, value, `the answer to ${key}`, 'INVALID_INPUT')
}

/** What the schema of a signal makes of its value. @throws KernelError `INVALID_INPUT` for an undeclared one, too. */
export function checkSignal(definition: Definition, name: string, value: unknown): Json {
  const schema = Object.hasOwn(definition.signals, name) ? definition.signals[name] : undefined
  if (schema !== undefined) return parse(schema, value, `the value of ${name}`, 'INVALID_INPUT')
  const names = Object.keys(definition.signals).join(', ')
  throw new KernelError(
    'INVALID_INPUT',
    `${definition.name} declares no signal ${shown(name)}; there are ${names || 'none'}`,
  )
}

/** Something for an item that is not open. */
export function notOpen(runId: string, key: string, kind: string): KernelError {
  const text = `run ${runId} has no open ${kind} with the key ${key}; see what it is blocked on`
  return new KernelError('NOT_OPEN', text, { runId, key })
}

/** A verdict on an action that nobody doubts. */
export function notInDoubt(runId: string, key: string): KernelError {
  const text = `run ${runId} has no action in doubt with the key ${key}; see what it is blocked on`
  return new KernelError('NOT_IN_DOUBT', text, { runId, key })
}
