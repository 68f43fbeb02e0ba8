import { canonicalize, canonicalJson, checkId, sha256, shown, type Json, type Limits } from '@varve/store'
import { KernelError } from '../errors.ts'
import type { LogDraft } from '../log/log-event.ts'
import type { ActionRequest, InterruptRequest, ItemRequest, WaitRequest } from '../workflow/decision.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { parse } from '../workflow/schema.ts'
import type { OpeningEvent } from './open-item.ts'

/** A draft of an event that opens an item. */
export type OpeningDraft = Extract<LogDraft, { type: OpeningEvent['type'] }>

/** What a request is turned into an event with. */
export interface Requesting {
  readonly runId: string
  readonly definition: Definition
  readonly limits: Limits
  /** `at` of the event: delays count from it. */
  readonly at: number
}

/**
 * The event that a request asks for.
 *
 * @throws KernelError `UNKNOWN_ACTION` | `INVALID_STEP` for what the workflow does not declare or what fails its schema.
 * @throws StoreError `NOT_JSON` | `LIMIT_EXCEEDED` | `INVALID_ARGUMENT` (the key).
 */
export function requestDraft(requesting: Requesting, request: ItemRequest): OpeningDraft {
  const { key } = request
  switch (request.kind) {
    case 'action':
      return actionDraft(requesting, request)
    case 'timer':
      checkId('a key', key)
      return { type: 'TimerStarted', data: { key, fireAt: requesting.at + request.ms } }
    case 'wait':
      return waitDraft(requesting, request)
    case 'interrupt':
      return interruptDraft(requesting, request)
    case 'child': {
      const { workflow, version } = request
      // A step written in JavaScript may name anything; what is no name must not reach the log, where nobody could read it.
      checkId('the workflow of a child', workflow)
      checkId('a key', key)
      const input = detached(requesting, request.input, `input of ${key}`)
      const childRunId = derivedRunId(requesting.runId, key)
      return {
        type: 'ChildStarted',
        data: { key, childRunId, workflow, input, ...(version !== undefined && { version }) },
      }
    }
  }
}

/** The id of a run that another one starts: the same whoever computes it, so that it is started once. */
export function derivedRunId(runId: string, key: string): string {
  return `run-${sha256(canonicalJson([runId, key])).slice(0, 40)}`
}

function actionDraft(requesting: Requesting, { key, action, input }: ActionRequest): OpeningDraft {
  const { definition } = requesting
  const spec = ownEntry(definition.actions, action)
  if (spec === undefined) {
    const text = `${definition.name} defines no action ${nameIn(action)}${known(definition.actions)}`
    throw new KernelError('UNKNOWN_ACTION', text, { key })
  }
  checkId('a key', key)
  const data = {
    key,
    action,
    input: detached(requesting, input, `input of ${key}`),
    effect: spec.effect ?? 'idempotent',
  }
  return { type: 'ActionRequested', data }
}

function waitDraft({ definition, at }: Requesting, { key, signal, timeoutMs }: WaitRequest): OpeningDraft {
  if (ownEntry(definition.signals, signal) === undefined) {
    const text = `${definition.name} declares no signal ${nameIn(signal)}${known(definition.signals)}`
    throw new KernelError('INVALID_STEP', text, { key })
  }
  checkId('a key', key)
  return { type: 'WaitStarted', data: { key, signal, ...(timeoutMs !== undefined && { fireAt: at + timeoutMs }) } }
}

function interruptDraft(requesting: Requesting, request: InterruptRequest): OpeningDraft {
  const { definition, at } = requesting
  const { key, interrupt: kind, expiresInMs } = request
  const spec = ownEntry(definition.interrupts, kind)
  if (spec === undefined) {
    const text = `${definition.name} declares no interrupt ${nameIn(kind)}${known(definition.interrupts)}`
    throw new KernelError('INVALID_STEP', text, { key })
  }
  checkId('a key', key)
  const asked = parse(spec.ask, request.value, `the question of ${key}`, 'INVALID_STEP')
  const value = detached(requesting, asked, `question of ${key}`)
  return {
    type: 'Interrupted',
    data: { key, kind, value, ...(expiresInMs !== undefined && { fireAt: at + expiresInMs }) },
  }
}

function detached({ limits }: Requesting, value: unknown, name: string): Json {
  return canonicalize(value, { name, maxDepth: limits.depth }).copy
}

/** A property of the record itself: names such as `constructor` are names like any other. */
export function ownEntry<T>(record: Readonly<Record<string, T>>, name: unknown): T | undefined {
  return typeof name === 'string' && Object.hasOwn(record, name) ? record[name] : undefined
}

/** What a step named, which the key is taken from where it names none: so the name is checked first. */
function nameIn(name: unknown): string {
  return typeof name === 'string' ? name : shown(name)
}

/** What there is instead, for an error's text. */
export function known(record: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(record)
  return names.length === 0 ? '' : `; there are ${names.join(', ')}`
}
