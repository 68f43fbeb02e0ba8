import { defineWorkflow } from '@varve/kernel'
import type { ContentId } from '@varve/store'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { clockTime, HOURS_PER_DAY } from './flights/flight.ts'
import type { FlightSource } from './flights/flight-file.ts'
import { addTotals, hourStatistics, type HourStatistics } from './flights/hour-statistics.ts'
import type { PublishedReport, Publisher } from './report/publish-report.ts'

/** What the run knows. Made from the log alone, so that any process can go on where another one ended. */
export interface ReportState {
  readonly file: { readonly hash: ContentId; readonly flights: number } | null
  /** As far as they are folded, in order. */
  readonly hours: readonly HourStatistics[]
  readonly approval: { readonly approved: boolean; readonly by: string | null } | null
  readonly report: PublishedReport | null
}

/** What the editor is shown before saying yes or no. */
export const ApprovalRequest = z.strictObject({
  flights: z.int(),
  late: z.int(),
  /** Minutes, over all flights. */
  delaySum: z.number(),
})

/** What the run reaches outside of itself. */
export interface ReportDoors {
  readonly source: FlightSource
  readonly publish: Publisher
  /** Every hour takes at least this long, in ms: for watching, and for interrupting. */
  readonly paceMs: number
}

/**
 * Reads a file of flights, folds its statistics hour by hour, asks an editor, and publishes a report.
 *
 * The first object says what the workflow is: its input, its doors to the outside, its questions. Only `run` functions do
 * anything. The second object decides: `reduce` folds the log into the state, and `step` says what should be in flight in
 * that state. Both are pure, so a run that was killed is rebuilt by folding its log again, and goes on with what is missing.
 */
export function defineFlightReport({ source, publish, paceMs }: ReportDoors) {
  return defineWorkflow(
    {
      name: 'flight-report',
      version: '1',
      input: z.strictObject({ dataset: z.string() }),
      actions: {
        load: {
          run: async () => {
            const { hash, flights } = await source.read()
            return { hash, flights }
          },
        },
        foldHour: {
          effect: 'pure',
          // The log holds the hour and the file's hash, never its rows.
          run: async ({ file, hour }: { readonly file: ContentId; readonly hour: number }, { signal }) => {
            await delay(paceMs, undefined, { signal })
            return hourStatistics(hour, await source.departures(file, hour))
          },
        },
        publish: {
          run: (content: Parameters<Publisher>[0], { runId, signal }) => publish(content, { runId, signal }),
        },
      },
      interrupts: {
        approval: { ask: ApprovalRequest, answer: z.strictObject({ approved: z.boolean() }) },
      },
      initialState: (): ReportState => ({ file: null, hours: [], approval: null, report: null }),
    },
    {
      reduce: (state, event) => {
        if (event.type === 'Resumed') {
          return { ...state, approval: { approved: event.data.value.approved, by: event.data.by ?? null } }
        }
        if (event.type !== 'ActionSucceeded') return state
        switch (event.data.action) {
          case 'load':
            return { ...state, file: event.data.output }
          case 'foldHour':
            return { ...state, hours: [...state.hours, event.data.output] }
          case 'publish':
            return { ...state, report: event.data.output }
        }
      },
      step: ({ file, hours, approval, report }, next) => {
        if (file === null) return next.run('load')
        const hour = hours.length
        if (hour < HOURS_PER_DAY) return next.run('foldHour', { file: file.hash, hour }, { key: hourKey(hour) })
        if (approval === null) return next.interrupt('approval', addTotals(hours))
        if (!approval.approved) return next.complete({ published: false })
        if (report === null) return next.run('publish', { file, hours, approvedBy: approval.by })
        return next.complete({ published: true, ...report })
      },
    },
  )
}

/** The workflow, once its doors are known. */
export type FlightReport = ReturnType<typeof defineFlightReport>

/** The key of an hour's action: an action that runs more than once needs a name for each time. */
function hourKey(hour: number): string {
  return `hour ${clockTime(hour)}`
}

/** True for the keys of hourly actions. */
export function isHourKey(key: string | undefined): boolean {
  return key?.startsWith('hour ') === true
}
