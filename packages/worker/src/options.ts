import type { Kernel } from '@varve/kernel'
import { checkId, checkList, checkNames, checkOptions, shown, type QueueClaim, type NamesOf } from '@varve/store'
import { asOption, WorkerError } from './errors.ts'
import type { Schedule } from './schedules/schedule.ts'

/** What a worker works on, and how. */
export interface WorkerOptions {
  /** Has the code of the workflows and the store of the runs. It is not disposed with the worker. */
  readonly kernel: Kernel
  /**
   * So many runs are driven here at once, at most. A run that is blocked is not driven. Default 100: runs that are driven
   * together share commits. With handlers that take much memory, or go to a service that takes few calls, give less.
   */
  readonly concurrency?: number
  /**
   * How long the leases of its runs last, in ms: after that time other workers take over what a worker that died has left.
   * Default: the kernel's, which is 30,000.
   */
  readonly leaseMs?: number
  /** Names of the workflows to drive. Default: all that are registered with the kernel, also those that come later. */
  readonly workflows?: readonly string[]
  /** Where to take runs from: names, or queues with limits. They take turns. Default: the queue `default`. */
  readonly queues?: readonly (string | QueueClaim)[]
  /** Runs to start at given times. */
  readonly schedules?: readonly Schedule[]
  /**
   * How often to look for due runs of which nobody told, in ms: the longest delay after a lost notification. Default 5000
   * where the store notifies, else 500.
   */
  readonly pollMs?: number
  /** How long a stop waits for attempts that are under way before it aborts them, in ms. Default 30,000. */
  readonly graceMs?: number
  /** Signals of the process at which the worker stops. Default `SIGTERM` and `SIGINT`; none with an empty list. */
  readonly signals?: readonly NodeJS.Signals[]
  /** Told of what went wrong: runs that were parked, a store that cannot be reached. Default: a process warning. */
  readonly onWarning?: (warning: Error) => void
}

/** The store takes no more of them in one claim. */
const MAX_QUEUES = 1000

/** Options with their defaults. */
export interface WorkerSettings {
  readonly kernel: Kernel
  readonly concurrency: number
  readonly leaseMs: number
  readonly workflows: readonly string[] | undefined
  readonly queues: readonly QueueClaim[]
  readonly schedules: readonly Schedule[]
  readonly pollMs: number
  readonly graceMs: number
  readonly signals: readonly NodeJS.Signals[]
  readonly warn: (warning: Error) => void
}

const OF_WORKER: NamesOf<WorkerOptions> = {
  ...{ kernel: true, concurrency: true, leaseMs: true, workflows: true, queues: true, schedules: true },
  ...{ pollMs: true, graceMs: true, signals: true, onWarning: true },
}

const OF_QUEUE: NamesOf<QueueClaim> = {
  ...{ name: true, concurrency: true, concurrencyPerKey: true, rate: true },
}

const OF_RATE: NamesOf<NonNullable<QueueClaim['rate']>> = {
  ...{ limit: true, periodMs: true },
}

/** @throws WorkerError `INVALID_OPTION`; StoreError `INVALID_ARGUMENT` for a queue's name. */
export function settingsOf(options: WorkerOptions): WorkerSettings {
  asOption(checkGiven, options)
  const { kernel, workflows, schedules = [], signals = ['SIGTERM', 'SIGINT'] } = options
  const { dispatcher } = kernel
  if (new Set(schedules.map(({ id }) => id)).size < schedules.length) {
    throw new WorkerError('INVALID_OPTION', 'two schedules have one id; each starts its own runs and needs its own')
  }
  const settings = {
    ...{ kernel, workflows, schedules, signals },
    concurrency: whole('concurrency', options.concurrency ?? 100, 1),
    leaseMs: whole('leaseMs', options.leaseMs ?? dispatcher.leaseMs, 100),
    queues: queuesOf(options.queues ?? ['default']),
    pollMs: whole('pollMs', options.pollMs ?? (dispatcher.notifies ? 5000 : 500), 10),
    graceMs: whole('graceMs', options.graceMs ?? 30_000, 0),
  }
  return { ...settings, warn: (warning) => tell(options.onWarning, warning) }
}

/** What is of another kind would be driven by letters, or fail at the first claim. */
function checkGiven(options: WorkerOptions): void {
  checkOptions('what a worker is made of', options)
  checkNames('a worker', options, OF_WORKER)
  const { kernel, workflows = [], queues = [], schedules = [], signals = [] } = options
  checkOptions('the kernel of a worker', kernel)
  checkOptions('the kernel of a worker must be made by createKernel: its dispatcher', kernel.dispatcher)
  for (const [what, list] of Object.entries({ workflows, queues, schedules, signals })) checkList(what, list)
  const texts = Object.entries({ workflows, signals })
  for (const [what, list] of texts) for (const [i, one] of list.entries()) checkText(`${what}[${i}]`, one)
  for (const [i, queue] of queues.entries()) if (typeof queue !== 'string') checkQueue(`queues[${i}]`, queue)
  for (const [i, schedule] of schedules.entries()) checkSchedule(`schedules[${i}]`, schedule)
}

function checkText(what: string, value: unknown): void {
  if (typeof value !== 'string') throw new WorkerError('INVALID_OPTION', `${what} must be a text, got ${shown(value)}`)
}

function checkQueue(what: string, queue: QueueClaim): void {
  checkOptions(what, queue)
  checkNames(what, queue, OF_QUEUE)
  if (queue.rate === undefined) return
  checkOptions(`${what}.rate`, queue.rate)
  checkNames(`${what}.rate`, queue.rate, OF_RATE)
}

/** The cron of one that was put together by hand is a text. */
function checkSchedule(what: string, schedule: Schedule): void {
  checkOptions(what, schedule)
  if (typeof (schedule.cron as Partial<Schedule['cron']> | undefined)?.nextRun === 'function') return
  throw new WorkerError('INVALID_OPTION', `${what} must be made by defineSchedule`)
}

/** A listener that throws must not bring down what it listens to. */
function tell(onWarning: WorkerOptions['onWarning'], warning: Error): void {
  try {
    if (onWarning !== undefined) onWarning(warning)
    else process.emitWarning(warning)
  } catch (error) {
    process.emitWarning(error as Error)
  }
}

function queuesOf(given: readonly (string | QueueClaim)[]): readonly QueueClaim[] {
  const queues = given.map((queue) => (typeof queue === 'string' ? { name: queue } : queue))
  const names = new Set(queues.map(({ name }) => name))
  if (names.size === 0) throw new WorkerError('INVALID_OPTION', 'a worker needs at least one queue')
  if (queues.length > MAX_QUEUES) {
    throw new WorkerError('INVALID_OPTION', `a worker takes from ${MAX_QUEUES} queues at most, got ${queues.length}`)
  }
  if (names.size < queues.length) {
    throw new WorkerError('INVALID_OPTION', 'a queue is named twice; give each one entry with all its limits')
  }
  for (const { name, concurrency, concurrencyPerKey, rate } of queues) {
    checkId('the name of a queue', name)
    for (const [what, value] of Object.entries({ concurrency, concurrencyPerKey }))
      if (value !== undefined) whole(`${what} of queue ${name}`, value, 1)
    if (rate === undefined) continue
    whole(`rate.limit of queue ${name}`, rate.limit, 1)
    whole(`rate.periodMs of queue ${name}`, rate.periodMs, 1)
  }
  return queues
}

/** @throws WorkerError `INVALID_OPTION` for what is no whole number from `least`. */
export function whole(what: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new WorkerError('INVALID_OPTION', `${what} must be a whole number from ${least}, got ${shown(value)}`)
}
