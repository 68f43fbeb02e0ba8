import { isKernelError, type Kernel, type Timer } from '@varve/kernel'
import { allItems, isStoreError } from '@varve/store'
import { isWorkerError, WorkerError } from '../errors.ts'
import type { WorkerSettings } from '../options.ts'
import { scheduleTag, tickOf, tickRunId, type Schedule } from './schedule.ts'
import { dueTicks, LATE_MS, nextTick } from './ticks.ts'

/** Looks again at the latest after this time, in ms: the store's clock may have been set. */
const LOOK_MS = 60_000

/** What is seen further ahead than that, in ms, was seen by a clock that was wrong. */
const AHEAD_MS = 60_000

/** Runs of a schedule that are read at once. */
const PAGE = 20

/** Tries again after this time, in ms, when the store failed. */
const RETRY_MS = 1000

/**
 * Starts the runs of schedules. Every worker that has a schedule does so for every tick; the run id makes all but the first do
 * nothing.
 */
export class Scheduler {
  readonly #settings: WorkerSettings
  readonly #timers = new Map<string, Timer>()
  /** Until when the ticks of a schedule have been seen to. */
  readonly #seen = new Map<string, number>()
  readonly #busy = new Set<Promise<void>>()
  #isStopped = false

  constructor(settings: WorkerSettings) {
    this.#settings = settings
  }

  start(): void {
    for (const schedule of this.#settings.schedules) this.#look(schedule)
  }

  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  /** Resolves when nothing is being started any more. */
  get stopped(): Promise<void> {
    return Promise.all(this.#busy).then(() => undefined)
  }

  #look(schedule: Schedule): void {
    const { dispatcher } = this.#settings.kernel
    const looking = this.#startDue(schedule)
      .catch((error: unknown) => {
        this.#settings.warn(error as Error)
        return RETRY_MS
      })
      .then((ms) => {
        this.#busy.delete(looking)
        if (ms === undefined || this.#isStopped) return
        const timer = dispatcher.clock.schedule(Math.min(ms, LOOK_MS), () => {
          this.#look(schedule)
        })
        this.#timers.set(schedule.id, timer)
      })
    this.#busy.add(looking)
  }

  /** @returns when to look again, in ms; undefined for never. */
  async #startDue(schedule: Schedule): Promise<number | undefined> {
    const { dispatcher } = this.#settings.kernel
    const { id, cron, missed } = schedule
    const now = await dispatcher.now()
    let after = this.#seen.get(id)
    // Else nothing more would be started before the time to which the store's clock was set for a moment.
    if (after !== undefined && after > now + AHEAD_MS) after = undefined
    // Others may have been at work while this worker was not there, or was paused. The runs of what it has seen to may be removed by now.
    if (after === undefined || now - after > LATE_MS + LOOK_MS) {
      const last = await this.#lastTick(schedule, now)
      after = Math.max(last ?? after ?? now, after ?? 0)
    }
    for (const tick of dueTicks(cron, { after, now, missed })) {
      if (this.#isStopped) return undefined
      await startTick(this.#settings, schedule, tick)
    }
    this.#seen.set(id, Math.max(after, now))
    const next = nextTick(cron, now)
    return next === undefined ? undefined : Math.max(0, next - dispatcher.clock.now())
  }

  /** Forks and successors of its runs have the tag of the schedule, too, and are passed over. */
  async #lastTick(schedule: Schedule, now: number): Promise<number | undefined> {
    const { kernel } = this.#settings
    const runs = allItems((page) => kernel.list({ tags: [scheduleTag(schedule)] }, page), PAGE)
    for await (const { runId } of runs) {
      const tick = tickOf(schedule, runId)?.getTime()
      if (tick !== undefined && tick <= now + AHEAD_MS) return tick
    }
    return undefined
  }
}

/** Starts the run of a tick, unless somebody has. What is wrong with the schedule itself is told and keeps no later tick back. */
async function startTick({ kernel, warn }: WorkerSettings, schedule: Schedule, tick: Date): Promise<void> {
  try {
    const input = inputFor(schedule, tick)
    await kernel.start(schedule.workflow, input as never, startOptions(schedule, tick))
  } catch (error) {
    if (isKernelError(error, 'RUN_EXISTS')) return
    if (!isOfSchedule(error)) throw error
    warn(error as Error)
  }
}

function inputFor({ id, input }: Schedule, tick: Date): unknown {
  try {
    return input(tick)
  } catch (cause) {
    const text = `the input of schedule ${id} for ${tick.toISOString()} could not be made, its run is left out`
    throw new WorkerError('INPUT_FAILED', text, { cause })
  }
}

/** True for an error that trying again would bring again. */
function isOfSchedule(error: unknown): boolean {
  if (isStoreError(error)) return ['INVALID_ARGUMENT', 'NOT_JSON', 'LIMIT_EXCEEDED'].includes(error.code)
  return isWorkerError(error) || (isKernelError(error) && error.code !== 'KERNEL_CLOSED')
}

function startOptions(schedule: Schedule, tick: Date): NonNullable<Parameters<Kernel['start']>[2]> {
  const { queue, priority, concurrencyKey, tags } = schedule
  return {
    runId: tickRunId(schedule, tick),
    wait: false,
    // By the store's clock, whatever this machine's says.
    startAt: tick,
    queue,
    priority,
    ...(concurrencyKey !== undefined && { concurrencyKey }),
    tags: [...tags, scheduleTag(schedule)],
  }
}
