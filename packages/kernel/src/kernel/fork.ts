import { checkId, genesis, sealEvent, shown, type Limits, type LogEnd, type StoredEvent } from '@varve/store'
import type { Environment } from '../driver/environment.ts'
import { checkAnswer, checkSignal } from '../driver/inputs.ts'
import { placeOf } from '../driver/new-run.ts'
import type { Outcome } from '../driver/outcome.ts'
import { runUpdate } from '../driver/turn.ts'
import { KernelError } from '../errors.ts'
import { eventSchemas, type EventType } from '../log/event-data.ts'
import { asLogEvent, readLogEvent, type LogDraft, type LogEvent } from '../log/log-event.ts'
import { applyEvent, type RunFold } from '../run/run-fold.ts'
import { emptySystem, type System } from '../run/system.ts'
import { enter, withSecrets, type NewSecret } from '../secrets/entering.ts'
import { addReferences } from '../secrets/erase.ts'
import { isPlain } from '../secrets/replace.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { parse } from '../workflow/schema.ts'
import { appendCopy, checkEditedArtifacts } from './append-copy.ts'
import { findRun } from './post.ts'
import { moveIf, type KernelParts } from './parts.ts'
import { checkCopy } from './takeover.ts'

/** Where a fork leaves the run it is taken from. */
export interface ForkOptions {
  /** Last seq that is copied. */
  readonly at: number
  /** Id of the new run. Default: a new one. */
  readonly as?: string
  /** Replaces the data of the event at `at`, and nothing before it: another output, another signal, another input. */
  readonly edit?: Readonly<Record<string, unknown>>
  /**
   * Another registered version to go on with: it must decide all that is copied as it is recorded. Default: the version that
   * the run was of at `at`.
   */
  readonly version?: string
  /**
   * True: an action that the fork asks for with the same key and input as the run it was taken from is not executed when that
   * has recorded a success for it behind `at`; the fork gets that result. Failures, and the clean-up of a cancel, are executed.
   */
  readonly reuse?: boolean
  /** False: record the fork and return at once. Default true. */
  readonly wait?: boolean
}

/** Types whose data came from outside and may be given otherwise. */
const EDITABLE: ReadonlySet<EventType> = new Set<EventType>([
  'RunStarted',
  'ActionSucceeded',
  'ActionFailed',
  'SignalReceived',
  'Resumed',
  'ChildCompleted',
])

/**
 * Copies a run's log up to a seq into a new run and drives that on. The copy keeps bodies and times, sealed under the new
 * run's own chain; the run it is taken from is not touched.
 */
export async function forkRun(kernel: KernelParts, runId: string, options: ForkOptions): Promise<Outcome> {
  const { env } = kernel
  const { at, as = env.newId() } = options
  checkEdit(options.edit, runId)
  checkReuse(options.reuse, runId)
  if (options.version !== undefined) checkId('a version', options.version)
  const row = await findRun(env, runId)
  if (!Number.isInteger(at) || at < 1 || at > row.head) {
    throw new KernelError('INVALID_INPUT', `run ${runId} can be forked at seq 1-${row.head}, not at ${shown(at)}`, {
      runId,
      seq: at,
    })
  }
  const prefix = await readPrefix(kernel, runId, at)
  const last = prefix.at(-1) as LogEvent
  if (isEnd(last)) {
    throw new KernelError('INVALID_INPUT', `seq ${at} ends run ${runId}; fork before it`, { runId, seq: at })
  }
  const { workflow } = row
  const from = versionOf(prefix) ?? row.version
  const { version: to = from } = options
  const definition = env.definitionOf({ runId, workflow, version: to })
  const copy = new Copy(env, as, definition)
  const secrets: NewSecret[] = []
  for (const event of prefix) {
    const draft = event === last ? edited(event, copy.fold.system, definition, runId, options.edit) : event
    copy.push(draft === event ? event : enterEdit(env, draft, prefix, secrets), event.at)
  }
  checkNotTwice(copy.fold, runId, at)
  if (options.edit !== undefined) await checkEditedArtifacts(env, copy.events, last, runId)
  await env.clock.check()
  const now = Math.max(env.clock.now(), last.at)
  const flags = { ...(options.edit !== undefined && { edited: true }), ...(options.reuse === true && { reuse: true }) }
  copy.push({ type: 'RunForked', data: { fromRunId: runId, atSeq: at, fromHash: last.hash, ...flags } }, now)
  if (to !== from) {
    checkCopy(env, definition, copy.events, { runId, from, to })
    copy.push({ type: 'Migrated', data: { fromVersion: from, toVersion: to } }, now)
  }
  // An edit of the first event may name others than the row of the run that it was taken from.
  const said = copy.fold.system.started ?? row
  const { tags, queue } = said
  const run = { ...runUpdate(copy.fold), create: { workflow, version: to, tags, queue, ...placeOf(said) } }
  await withSecrets(env, secrets, () => appendCopy(env, as, copy.events, run))
  env.committed(as, copy.log)
  return moveIf(kernel, as, options.wait)
}

/** Whatever else has no fields of its own, and would edit nothing without a word. */
function checkEdit(edit: unknown, runId: string): void {
  if (edit === undefined) return
  if (typeof edit === 'object' && edit !== null && isPlain(edit)) return
  throw new KernelError('INVALID_INPUT', `an edit must be a plain object of fields, got ${shown(edit)}`, { runId })
}

/** Taken for false, anything else would have everything done again. */
function checkReuse(reuse: unknown, runId: string): void {
  if (reuse === undefined || typeof reuse === 'boolean') return
  throw new KernelError('INVALID_INPUT', `reuse of a fork must be true or false, got ${shown(reuse)}`, { runId })
}

/** The new run's log as it grows, and its fold. */
class Copy {
  readonly #limits: Limits
  readonly fold: RunFold
  readonly events: StoredEvent[] = []
  readonly log: LogEvent[] = []

  constructor({ limits, guard }: Environment, runId: string, definition: Definition) {
    this.#limits = limits
    this.fold = { system: emptySystem(runId), stepper: definition.stepper(guard) }
  }

  push(draft: LogDraft, at: number): void {
    const { system } = this.fold
    const sealed = sealEvent(system.runId, system.end, draft, at, this.#limits)
    const event = asLogEvent(sealed)
    applyEvent(this.fold, event)
    this.events.push(sealed.stored)
    this.log.push(event)
  }
}

/** The version that a run is of where its log stands; undefined when the log does not say. */
function versionOf(prefix: readonly LogEvent[]): string | undefined {
  let version: string | undefined
  for (const { type, data } of prefix) {
    if (type === 'RunStarted') version = data.version
    if (type === 'Migrated') version = data.toVersion
  }
  return version
}

/** An edit may hold new secrets, and references to those that the copied events have. */
function enterEdit(env: Environment, draft: LogDraft, prefix: readonly LogEvent[], secrets: NewSecret[]): LogDraft {
  const known = new Set<string>()
  for (const { data } of prefix) addReferences(data, known)
  const entered = enter(env, draft.data, 'edit', known)
  secrets.push(...entered.secrets)
  return { ...draft, data: entered.value } as LogDraft
}

/**
 * What is open is asked for again under the fork's own ids. For an action that must not happen twice that would be a
 * second time under a new identity.
 */
function checkNotTwice({ system }: RunFold, runId: string, seq: number): void {
  for (const item of system.open.values()) {
    if (item.kind !== 'action' || item.effect !== 'at-most-once') continue
    const { key } = item
    const text = `the at-most-once action ${key} is open at seq ${seq} of run ${runId}; fork before it was asked for, or after its end`
    throw new KernelError('INVALID_INPUT', text, { runId, seq, key })
  }
}

async function readPrefix({ env }: KernelParts, runId: string, at: number): Promise<LogEvent[]> {
  const prefix: LogEvent[] = []
  let end: LogEnd = genesis(runId)
  for await (const stored of env.store.events.read(runId, { to: at })) {
    const event = readLogEvent(end, stored)
    end = { seq: event.seq, hash: event.hash }
    prefix.push(event)
  }
  return prefix
}

function isEnd({ type }: LogEvent): boolean {
  return type === 'Completed' || type === 'Failed' || type === 'Canceled' || type === 'ContinuedAsNew'
}

function edited(
  event: LogEvent,
  system: System,
  definition: Definition,
  runId: string,
  edit: ForkOptions['edit'],
): LogDraft {
  if (edit === undefined) return event
  const { seq, type } = event
  if (!EDITABLE.has(type)) {
    const text = `seq ${seq} of run ${runId} is a ${type}, which the code decides; edit what came from outside`
    throw new KernelError('INVALID_INPUT', text, { runId, seq })
  }
  const pinned = PINNED.find((name) => Object.hasOwn(edit, name))
  if (pinned !== undefined) {
    const why = pinned === 'deadlineAt' ? 'holds for no fork' : 'says which event it is and stays as it is'
    const text = `the edit of seq ${seq}: ${type}.${pinned} ${why}`
    throw new KernelError('INVALID_INPUT', text, { runId, seq, path: `${type}.${pinned}` })
  }
  const data = eventSchemas[type].safeParse({ ...event.data, ...edit })
  if (data.success) return checkedEdit({ type, data: data.data } as LogDraft, system, definition, edit)
  const issue = data.error.issues[0]
  const path = [type, ...(issue?.path ?? [])].join('.')
  throw new KernelError('INVALID_INPUT', `the edit of seq ${seq}: ${path}: ${issue?.message ?? 'wrong shape'}`, {
    ...{ runId, seq, path },
  })
}

/** What an event is about is no part of what came from outside. */
const PINNED = ['key', 'attempts', 'workflow', 'version', 'parent', 'previous', 'spent', 'deadlineAt', 'headHash']

/** What came from outside went through a schema of the workflow; so does what is put in its place. */
function checkedEdit(draft: LogDraft, system: System, definition: Definition, edit: object): LogDraft {
  const { type, data } = draft
  if (type === 'RunStarted' && 'input' in edit) {
    return { type, data: { ...data, input: parse(definition.input, edit.input, 'input', 'INVALID_INPUT') } }
  }
  if (type === 'SignalReceived') {
    return { type, data: { ...data, value: checkSignal(definition, data.name, data.value) } }
  }
  const item = type === 'Resumed' ? system.open.get(data.key) : undefined
  if (type !== 'Resumed' || item?.kind !== 'interrupt') return draft
  return { type, data: { ...data, value: checkAnswer(definition, item.interrupt, data) } }
}
