import type { Workflow } from '@varve/kernel'
import { checkId, checkList, checkNames, checkOptions, checkPriority, shown, type NamesOf } from '@varve/store'
import { Cron } from 'croner'
import { asOption, WorkerError } from '../errors.ts'

/**
 * What becomes of ticks that nobody started within a minute, because no worker was there: none is made up for, the newest one
 * is (unless the next one is due already), or all are, oldest first, at most the newest 1000.
 */
export type MissedTicks = 'skip' | 'latest' | 'all'

const MISSED: ReadonlySet<unknown> = new Set<MissedTicks>(['skip', 'latest', 'all'])

/** What to start, and when. Made by {@link defineSchedule}. */
export interface Schedule {
  /** Its ticks have run ids that are made of it, so that all workers of a store together start each of them once. */
  readonly id: string
  readonly cron: Cron
  readonly workflow: Workflow
  readonly input: (at: Date) => unknown
  readonly missed: MissedTicks
  readonly queue: string
  readonly priority: number
  readonly concurrencyKey: string | undefined
  readonly tags: readonly string[]
}

/** What a schedule is made of. */
export interface ScheduleOptions<Input> {
  /** Unique among the schedules of a store, 1-150 characters. */
  readonly id: string
  /** A cron pattern of five fields, or six with seconds first: `0 3 * * *`. */
  readonly cron: string
  /** IANA name of the time zone that the pattern is meant in. Default `UTC`. */
  readonly timezone?: string
  readonly workflow: Workflow<Input>
  /** The input of the run for a tick. It should depend on the tick alone: every worker computes it, and one of them is first. */
  readonly input: (at: Date) => NoInfer<Input>
  /** Default `latest`. */
  readonly missed?: MissedTicks
  /** Default `default`. */
  readonly queue?: string
  /** -100 to 100. Default 0. */
  readonly priority?: number
  readonly concurrencyKey?: string
  /** Besides `schedule:<id>`, which every run of a schedule has. */
  readonly tags?: readonly string[]
}

const OF_SCHEDULE: NamesOf<ScheduleOptions<unknown>> = {
  ...{ id: true, cron: true, timezone: true, workflow: true, input: true, missed: true },
  ...{ queue: true, priority: true, concurrencyKey: true, tags: true },
}

/**
 * A schedule: one run per tick of a cron pattern, by the store's clock. The run of a tick has the id `schedule:<id>:<time>`, with
 * the time in ISO 8601.
 *
 * @throws WorkerError `INVALID_OPTION` for a pattern, a time zone, a workflow or an input that is none; StoreError
 * `INVALID_ARGUMENT` for an id, a queue, a priority, a key or a tag that is none.
 */
export function defineSchedule<Input>(options: ScheduleOptions<Input>): Schedule {
  asOption(checkOptions, 'what a schedule is made of', options)
  asOption(checkNames, 'a schedule', options, OF_SCHEDULE)
  const { id, workflow, input, missed = 'latest', queue = 'default', priority = 0, concurrencyKey, tags = [] } = options
  checkId('the id of a schedule', id)
  checkId('the queue of a schedule', queue)
  checkPriority(priority)
  if (concurrencyKey !== undefined) checkId('the concurrency key of a schedule', concurrencyKey)
  checkList('the tags of a schedule', tags)
  for (const tag of tags) checkId('a tag of a schedule', tag)
  if (!MISSED.has(missed)) {
    throw new WorkerError(
      'INVALID_OPTION',
      `missed of schedule ${id} must be skip, latest or all, got ${shown(missed)}`,
    )
  }
  if (typeof input !== 'function') {
    throw new WorkerError(
      'INVALID_OPTION',
      `input of schedule ${id} must be a function of the tick, got ${shown(input)}`,
    )
  }
  asOption(checkOptions, `workflow of schedule ${id}`, workflow)
  asOption(
    checkOptions,
    `workflow of schedule ${id} must be made by defineWorkflow: its definition`,
    workflow.definition,
  )
  if (id.length > 150) throw new WorkerError('INVALID_OPTION', 'the id of a schedule has at most 150 characters')
  return {
    ...{ id, missed, queue, priority, tags },
    workflow: workflow,
    input,
    concurrencyKey,
    cron: cronOf(options),
  }
}

function cronOf({ id, cron, timezone = 'UTC' }: Pick<ScheduleOptions<never>, 'id' | 'cron' | 'timezone'>): Cron {
  const given = `(pattern ${shown(cron)}, time zone ${shown(timezone)})`
  // A number would be minutes from UTC, and nothing UTC.
  if (typeof timezone !== 'string' || timezone === '') {
    throw new WorkerError('INVALID_OPTION', `schedule ${id}: the time zone must be an IANA name ${given}`)
  }
  const parsed = parsedCron(id, cron, timezone, given)
  // A date has no pattern, and such a thing as the 30th of February never comes.
  if (parsed.getPattern() !== undefined && parsed.nextRun() !== null) return parsed
  throw new WorkerError('INVALID_OPTION', `schedule ${id}: the pattern must be one of times that come again ${given}`)
}

function parsedCron(id: string, cron: string, timezone: string, given: string): Cron {
  try {
    const parsed = new Cron(cron, { timezone, paused: true, mode: '5-or-6-parts' })
    // A time zone is looked at when it is first needed.
    parsed.nextRun()
    return parsed
  } catch (error) {
    throw new WorkerError('INVALID_OPTION', `schedule ${id}: ${(error as Error).message} ${given}`)
  }
}

/** The tag of all runs of a schedule. */
export function scheduleTag({ id }: Pick<Schedule, 'id'>): string {
  return `schedule:${id}`
}

/** The id of the run for a tick. */
export function tickRunId(schedule: Pick<Schedule, 'id'>, at: Date): string {
  return `${scheduleTag(schedule)}:${at.toISOString()}`
}

/** The tick that a run is for; undefined for a run that is no schedule's, such as a fork `schedule:<id>:again-1`. */
export function tickOf(schedule: Pick<Schedule, 'id'>, runId: string): Date | undefined {
  const at = new Date(runId.slice(scheduleTag(schedule).length + 1))
  // Dates are read from nearly anything that ends in a number.
  if (Number.isNaN(at.getTime()) || tickRunId(schedule, at) !== runId) return undefined
  return at
}
