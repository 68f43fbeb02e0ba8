import type { Engine, Progress as Step } from '@varve/plan'
import { Presets, SingleBar } from 'cli-progress'
import { clockTime, HOURS_PER_DAY } from '../flights/flight.ts'

/** How many hours of a run are folded, shown to whoever watches. */
export interface Progress {
  /** Hours whose results are durable. */
  readonly hours: number
  readonly total: number
  /** Begins to show, with the hours that are there already. */
  show(since: number, hours: number): void
  /** Follows a run until the signal comes, whichever process drives it. */
  follow(engine: Engine, runId: string, signal: AbortSignal): Promise<void>
  /** Says that all hours are there. */
  finished(): void
  /** Stops showing. */
  end(): void
}

/** Shows a bar in a terminal, and a few lines elsewhere. */
export function hourlyProgress(): Progress {
  let view: View | undefined
  let total = HOURS_PER_DAY
  let hours = 0
  const reached = (now: number, cached = 0): void => {
    if (now <= hours) return
    hours = now
    view?.update(now, cached)
  }
  return {
    get hours() {
      return hours
    },
    get total() {
      return total
    },
    show: (since, already) => {
      total = HOURS_PER_DAY - since
      hours = already
      if (already === total) return
      view = process.stdout.isTTY ? barView(since, total) : lineView(total)
      view.start(already)
    },
    follow: async (engine, runId, signal) => {
      for await (const step of engine.progress(runId, { signal })) {
        const { done = 0, cached = 0 } = hoursIn(step)?.items ?? {}
        reached(done, cached)
      }
    },
    finished: () => reached(total),
    end: () => view?.stop(),
  }
}

function hoursIn({ changed }: Step): Step['changed'][number] | undefined {
  return changed.find(({ id, status }) => id === 'hours' && status !== 'failed')
}

interface View {
  start(hours: number): void
  update(hours: number, cached: number): void
  stop(): void
}

function barView(since: number, total: number): View {
  const format = 'Folding  {bar}  {value} of {total} hours  {next}'
  const bar = new SingleBar({ format, hideCursor: true, linewrap: false }, Presets.shades_classic)
  const next = (hours: number) => ({ next: hours < total ? clockTime(since + hours) : 'done' })
  return {
    start: (hours) => {
      bar.start(total, hours, next(hours))
    },
    update: (hours) => {
      bar.update(hours, next(hours))
    },
    stop: () => {
      bar.stop()
    },
  }
}

/** Where nobody looks: four lines rather than a picture that moves. */
function lineView(total: number): View {
  const quarterOf = (hours: number): number => Math.floor((4 * hours) / total)
  let quarter = 0
  return {
    start: (hours) => {
      quarter = quarterOf(hours)
    },
    update: (hours, cached) => {
      if (quarterOf(hours) === quarter) return
      quarter = quarterOf(hours)
      console.log(`${hours} of ${total} hours folded${cached > 0 ? `, ${cached} of them cached` : ''}`)
    },
    stop: () => undefined,
  }
}
