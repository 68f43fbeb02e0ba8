import type { Json, Post } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'
import { eventSchemas } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { System } from '../run/system.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { parse } from '../workflow/schema.ts'

/** Something that reached a run from outside its step, with the post that brought it. */
export interface Input {
  readonly draft: LogDraft
  readonly post?: Post
}

/** An attempt that was under way when its driver died: recorded as abandoned, and begun anew under the same key. */
export function orphanInputs(system: System): Input[] {
  const inputs: Input[] = []
  for (const item of system.open.values()) {
    if (item.kind !== 'action' || !item.attempting) continue
    const { key, attempt } = item
    inputs.push({ draft: { type: 'ActionAttemptAbandoned', data: { key, attempt } } })
    inputs.push({ draft: { type: 'ActionAttemptStarted', data: { key, attempt: attempt + 1 } } })
  }
  return inputs
}

/**
 * Later attempts whose time has come: durable before they start. One that was abandoned is due at once: whoever recorded
 * that may have died before it could begin the next.
 */
export function retryInputs(system: System, now: number): Input[] {
  const inputs: Input[] = []
  for (const item of system.open.values()) {
    if (item.kind !== 'action' || item.attempting || (item.retryAt ?? 0) > now) continue
    inputs.push({ draft: { type: 'ActionAttemptStarted', data: { key: item.key, attempt: item.attempt + 1 } } })
  }
  return inputs
}

/** What an answer is posted as. */
export interface Answer {
  readonly key: string
  readonly value: Json
  readonly by?: string | undefined
}

/**
 * The event that a post becomes.
 *
 * @throws KernelError `NOT_OPEN` | `INVALID_INPUT` for a post that can never be taken.
 */
export function postInput(system: System, definition: Definition, post: Post): Input {
  const answer = parseAnswer(post)
  const { key, by } = answer
  const item = system.open.get(key)
  if (item?.kind !== 'interrupt') throw notOpen(system.runId, key)
  const value = checkAnswer(definition, item.interrupt, answer)
  return { post, draft: { type: 'Resumed', data: { key, value, ...(by !== undefined && { by }) } } }
}

function parseAnswer(post: Post): Answer {
  try {
    if (post.type === 'Resumed') return eventSchemas.Resumed.parse(JSON.parse(post.body))
  } catch (cause) {
    throw new KernelError('INVALID_INPUT', `post ${post.id} is no answer: ${textOf(cause)}`, { cause })
  }
  throw new KernelError('INVALID_INPUT', `post ${post.id} is a ${post.type} that this release cannot take`)
}

/** What the schema of an interrupt makes of an answer. @throws KernelError `INVALID_INPUT`. */
export function checkAnswer(definition: Definition, interrupt: string, { key, value }: Answer): Json {
  const spec = Object.hasOwn(definition.interrupts, interrupt) ? definition.interrupts[interrupt] : undefined
  return spec === undefined ? value : parse(spec.answer, value, `the answer to ${key}`, 'INVALID_INPUT')
}

/** An answer to a question that is not open. */
export function notOpen(runId: string, key: string): KernelError {
  const text = `run ${runId} has no open interrupt with the key ${key}; see what it is blocked on`
  return new KernelError('NOT_OPEN', text, { runId, key })
}
