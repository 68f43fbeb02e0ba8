import type { LogEvent } from '@varve/kernel'
import { Presets, SingleBar } from 'cli-progress'
import { isHourKey } from '../flight-report.ts'
import { clockTime, HOURS_PER_DAY } from '../flights/flight.ts'

/** How many hours of a run are folded, shown to whoever watches. */
export interface Progress {
  /** Hours whose results are durable. */
  readonly hours: number
  /** True when this process committed something: it is the one that drives the run. */
  readonly isOurs: boolean
  /** Begins to show, with the hours that are there already. */
  show(hours: number): void
  /** Counts what was committed. */
  committed(events: readonly LogEvent[]): void
  /** Says how many there are, where another process commits them. */
  reached(hours: number): void
  /** Stops showing. */
  end(): void
}

/** @param onHour - called whenever an hour more is durable, after it is shown. */
export function hourlyProgress(onHour: (hours: number) => void): Progress {
  const view = process.stdout.isTTY ? barView() : lineView()
  let hours = 0
  let isOurs = false
  const reached = (now: number): void => {
    if (now <= hours) return
    hours = now
    view.update(now)
    onHour(now)
  }
  return {
    get hours() {
      return hours
    },
    get isOurs() {
      return isOurs
    },
    show: (already) => {
      hours = already
      if (already < HOURS_PER_DAY) view.start(already)
    },
    committed: (events) => {
      isOurs = true
      reached(hours + events.filter(isHourlyResult).length)
    },
    reached,
    end: () => {
      view.stop()
    },
  }
}

function isHourlyResult(event: LogEvent): boolean {
  return event.type === 'ActionSucceeded' && isHourKey(event.data.key)
}

interface View {
  start(hours: number): void
  update(hours: number): void
  stop(): void
}

function barView(): View {
  const format = 'Folding  {bar}  {value} of {total} hours  {next}'
  const bar = new SingleBar({ format, hideCursor: true, linewrap: false }, Presets.shades_classic)
  const next = (hours: number) => ({ next: hours < HOURS_PER_DAY ? clockTime(hours) : 'done' })
  return {
    start: (hours) => {
      bar.start(HOURS_PER_DAY, hours, next(hours))
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
function lineView(): View {
  const quarterOf = (hours: number): number => Math.floor((4 * hours) / HOURS_PER_DAY)
  let quarter = 0
  return {
    start: (hours) => {
      quarter = quarterOf(hours)
    },
    update: (hours) => {
      if (quarterOf(hours) === quarter) return
      quarter = quarterOf(hours)
      console.log(`${hours} of ${HOURS_PER_DAY} hours folded`)
    },
    stop: () => undefined,
  }
}
