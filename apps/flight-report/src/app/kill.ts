import type { LogEvent } from '@varve/kernel'
import { hourOfKey } from '../flight-plan.ts'
import type { Arguments } from './arguments.ts'

/** Kills this very process when a run has come so far, for whoever wants to see what that does. */
export interface Kill {
  /** Says how many hours the run folds and how many it has, before anything is committed. */
  begin(total: number, hours: number): void
  /** Told of every commit, right after it. */
  committed(events: readonly LogEvent[]): void
  /** Says that a run has come to its end before it came so far, if it was asked for. */
  missed(head: number): void
}

/** What the options ask for. */
export function killOf({ killAfter, killAtEvent }: Pick<Arguments, 'killAfter' | 'killAtEvent'>): Kill {
  let total = 0
  let hours = 0
  return {
    begin: (all, already) => {
      total = all
      hours = already
    },
    committed: (events) => {
      hours += events.filter(isHourlyResult).length
      if (killAfter !== undefined && hours >= killAfter) killThisProcess(`${hours} of ${total} hourly results`)
      const seq = events.at(-1)?.seq ?? 0
      if (killAtEvent !== undefined && seq >= killAtEvent) killThisProcess(`${seq} events`)
    },
    missed: (head) => {
      const asked = [
        ...(killAfter === undefined ? [] : [`${killAfter} hourly results`]),
        ...(killAtEvent === undefined ? [] : [`${killAtEvent} events`]),
      ].join(' or ')
      if (asked !== '')
        console.log(`Not killed the run ended with ${head} events before this process had committed ${asked}`)
    },
  }
}

function isHourlyResult(event: LogEvent): boolean {
  return event.type === 'ActionSucceeded' && hourOfKey(event.data.key) !== undefined
}

function killThisProcess(what: string): void {
  console.error(`\nKilling this process: ${what} are committed`)
  process.kill(process.pid, 'SIGKILL')
}
