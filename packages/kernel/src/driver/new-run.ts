import { canonicalize, checkId, checkList, checkPriority, type Json, type RunCreation } from '@varve/store'
import type { Counts } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import { enter, type NewSecret } from '../secrets/entering.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { parse } from '../workflow/schema.ts'
import type { Environment } from './environment.ts'

/** How a run comes to be. */
export interface NewRunOptions {
  readonly runId: string
  readonly tags?: readonly string[]
  readonly queue?: string
  readonly priority?: number
  readonly concurrencyKey?: string
  /** Whole Unix milliseconds. */
  readonly startAt?: number
  /** Unix milliseconds. */
  readonly deadlineAt?: number
  readonly parent?: { readonly runId: string; readonly key: string }
  readonly previous?: string
  /** What the runs that it continues have spent. */
  readonly spent?: Counts
}

/** A run as it is to be created: its first event and its row. */
export interface NewRun {
  readonly runId: string
  readonly input: Json
  /** To be kept before the run is created. */
  readonly secrets: readonly NewSecret[]
  /** The input as it was given, its secrets marked. */
  readonly given: unknown
  readonly started: LogDraft
  readonly row: RunCreation
}

/**
 * Checks everything about a run before anything is written. The input of a run that another one starts comes from a log, and
 * its secrets are references already.
 *
 * @throws KernelError `INVALID_INPUT` | `SECRET_KEY_MISSING`; StoreError `INVALID_ARGUMENT` | `NOT_JSON` | `LIMIT_EXCEEDED`.
 */
export function newRun(env: Environment, definition: Definition, input: unknown, options: NewRunOptions): NewRun {
  const { runId, tags = [], queue = 'default', deadlineAt, startAt, parent, previous, spent } = options
  checkId('a run id', runId)
  checkId('a queue', queue)
  checkList('tags', tags)
  const placed = { tags: [...tags], queue, ...placeOf(options) }
  for (const tag of tags) checkId('a tag', tag)
  const { name: workflow, version } = definition
  const parsed = parse(definition.input, input, 'input', 'INVALID_INPUT')
  const isOwed = parent !== undefined || previous !== undefined
  const entered = isOwed ? { value: parsed, secrets: [] } : enter(env, parsed, 'input')
  const recorded = canonicalize(entered.value, { name: 'input', maxDepth: env.limits.depth }).copy
  const data = {
    ...{ workflow, version, input: recorded, seed: env.newId(), ...placed },
    ...(parent && { parent }),
    ...(previous !== undefined && { previous }),
    ...(deadlineAt !== undefined && { deadlineAt }),
    ...(startAt !== undefined && { startAt }),
    ...(spent && { spent }),
  }
  const row = { workflow, version, ...placed, ...(parent && { parent: parent.runId }) }
  return { runId, input: recorded, secrets: entered.secrets, given: parsed, started: { type: 'RunStarted', data }, row }
}

interface GivenPlace {
  readonly priority?: number | undefined
  readonly concurrencyKey?: string | undefined
}

/**
 * What decides, within a queue, when a run gets its turn: as it was given, and nothing for what was not.
 *
 * @throws StoreError `INVALID_ARGUMENT`.
 */
export function placeOf({ priority, concurrencyKey }: GivenPlace): Pick<RunCreation, 'priority' | 'concurrencyKey'> {
  if (priority !== undefined) checkPriority(priority)
  if (concurrencyKey !== undefined) checkId('a concurrency key', concurrencyKey)
  return { ...(priority !== undefined && { priority }), ...(concurrencyKey !== undefined && { concurrencyKey }) }
}
