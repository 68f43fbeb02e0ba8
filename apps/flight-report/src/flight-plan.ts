import { approvalState, bytes, definePlan, defineState, mapState, type Approval, type State } from '@varve/plan'
import { isContentId } from '@varve/store'
import { z } from 'zod'
import { clockTime, HourOfFlights, HOURS_PER_DAY } from './flights/flight.ts'
import { byHour, dataChanged, parseFlights, type FlightFile } from './flights/flight-file.ts'
import { DayStatistics, dayStatistics, HourStatistics, hourStatistics } from './flights/hour-statistics.ts'
import { chartNames, type ChartName } from './report/drawing.ts'
import { withOrigin, type ReportOrigin } from './report/origin.ts'
import type { Publications } from './report/publications.ts'
import { reportPage, type Charts } from './report/report-page.ts'

/** What a run is started with. */
export const ReportParams = z.object({
  /** Name of the file of flights. */
  dataset: z.string(),
  /** The report is on flights that left in this hour or later. */
  since: z
    .int()
    .min(0)
    .max(HOURS_PER_DAY - 1),
})

/** What the editor is shown before saying yes or no. */
export const Question = z.strictObject({ ...DayStatistics.shape.total.shape, report: z.string() })

/** What the plan reaches outside of itself. */
export interface ReportDoors {
  readonly read: () => Promise<FlightFile>
  readonly publications: Publications
  /** Position and hash of a run's log. */
  readonly logEnd: (runId: string) => Promise<Pick<ReportOrigin, 'head' | 'headHash'>>
  /** Names a run among those of all stores. */
  readonly nameOf: (runId: string) => Promise<string>
  /** Lets an hour take its time: for watching, and for interrupting. */
  readonly pace: (signal: AbortSignal) => Promise<void>
}

const contentId = z.custom<FlightFile['hash']>(isContentId)
const Published = z.strictObject({ name: z.string(), bytes: z.int(), hash: contentId })

/**
 * Reads a file of flights, folds their delays hour by hour, draws charts, asks an editor, and publishes a report.
 *
 * Each state names what it needs, so what depends on what can be read off below, and by the engine: a state marked with `cache` is
 * pure, and runs only when something that it is made from differs from all runs before. What changes in what it does, beyond the text
 * of its `run`, is said by its `version`. Only `load` and `publish` reach outside.
 */
export function defineFlightReport(doors: ReportDoors) {
  const load = loadState(doors)
  const folding = foldingStates(load, doors)
  const { merge } = folding
  const { charts, report } = pageStates(merge)
  const approval = approvalState({
    id: 'approval',
    needs: { day: merge, report },
    question: ({ needs }) => ({ ...needs.day.total, report: needs.report.id }) satisfies z.infer<typeof Question>,
  })
  const publish = publishState({ flights: load, day: merge, report, approval }, doors)
  const { partition, since, hours } = folding
  const plan = definePlan({
    id: 'flight-report',
    // Version 1 was a workflow without states.
    version: '2',
    params: ReportParams,
    states: [load, partition, since, hours, merge, charts, report, approval, publish],
    output: publish,
  })
  return { plan, approval }
}

function loadState({ read }: ReportDoors) {
  return defineState({
    id: 'load',
    params: ReportParams.pick({ dataset: true }),
    output: bytes({ mediaType: 'application/json' }),
    run: async ({ io, params }) => {
      let file: FlightFile | undefined
      const fetched = await io.fact('flights', async () => {
        file = await read()
        return { dataset: params.dataset, path: file.path, hash: file.hash, bytes: file.bytes.length }
      })
      // Recorded by a process that died before the bytes were kept.
      file ??= await read()
      if (file.hash !== fetched.hash) throw dataChanged(file.path, fetched.hash, file.hash)
      return file.bytes
    },
  })
}

function foldingStates(load: ReturnType<typeof loadState>, { pace }: ReportDoors) {
  const partition = defineState({
    id: 'partition',
    needs: { flights: load },
    output: z.array(HourOfFlights),
    cache: true,
    run: async ({ needs }) => [...byHour(parseFlights(await needs.flights.bytes()))],
  })
  // A state of its own: hours that took the param themselves would all run again when it changes.
  const since = defineState({
    id: 'since',
    params: ReportParams.pick({ since: true }),
    output: z.int(),
    cache: true,
    run: ({ params }) => params.since,
  })
  const hours = mapState({
    id: 'hours',
    needs: { partition, since },
    items: ({ needs }) => needs.partition.filter(({ hour }) => hour >= needs.since),
    key: ({ hour }) => clockTime(hour),
    output: HourStatistics,
    cache: true,
    run: async ({ item, signal }) => {
      await pace(signal)
      return hourStatistics(item)
    },
  })
  const merge = defineState({
    id: 'merge',
    needs: { hours, since },
    output: DayStatistics,
    cache: true,
    run: ({ needs }) => {
      const folded = needs.hours.map(({ value }) => value)
      return dayStatistics(needs.since, folded)
    },
  })
  return { partition, since, hours, merge }
}

function pageStates(merge: ReturnType<typeof foldingStates>['merge']) {
  const charts = mapState({
    id: 'charts',
    items: () => chartNames,
    key: (name) => name,
    with: { day: merge },
    output: bytes({ mediaType: 'image/svg+xml' }),
    cache: true,
    run: async ({ item, needs }) => {
      // Loaded when it is needed: the charting library takes longer to load than a whole run takes without it.
      const { drawChart } = await import('./report/charts.ts')
      return Buffer.from(await drawChart(item, needs.day))
    },
  })
  const report = defineState({
    id: 'report',
    needs: { day: merge, charts },
    output: bytes({ mediaType: 'text/html' }),
    cache: true,
    run: async ({ needs }) => {
      const drawn = needs.charts.map(async ({ key, value }) => [key as ChartName, await textOf(value)] as const)
      return Buffer.from(reportPage(needs.day, Object.fromEntries(await Promise.all(drawn)) as Charts))
    },
  })
  return { charts, report }
}

/** What a publication is made of. */
type Publishing = {
  readonly flights: ReturnType<typeof loadState>
  readonly day: ReturnType<typeof foldingStates>['merge']
  readonly report: ReturnType<typeof pageStates>['report']
  readonly approval: State<'approval', Approval>
}

function publishState(needs: Publishing, { publications, logEnd, nameOf }: ReportDoors) {
  return defineState({
    id: 'publish',
    needs,
    params: ReportParams.pick({ dataset: true }),
    output: Published,
    effect: 'at-most-once',
    run: async ({ needs: { flights, day, report, approval }, params, runId, attempt, io, signal }) => {
      const facts = { data: flights.id, flights: day.total.flights, approvedBy: approval.by }
      const when = { publishedAt: await io.now(), ...(await logEnd(runId)) }
      const page = withOrigin(await textOf(report), { runId, ...params, ...facts, ...when })
      return publications.publish({ run: await nameOf(runId), attempt }, page, signal)
    },
    // A process has died while it published. Settling keeps that attempt from doing so later, which makes the answer final.
    reconcile: async ({ runId, attempt }) => {
      const output = await publications.settle({ run: await nameOf(runId), attempt })
      return output === undefined ? { status: 'not-executed' } : { status: 'succeeded', output }
    },
    fenced: true,
  })
}

/** The plan, once its doors are known. */
export type FlightReport = ReturnType<typeof defineFlightReport>['plan']

/** What stands before an hour in the key of its execution. */
const HOUR_KEY = 'hours:item:'

/** The hour that an execution folds, as people write it; undefined for any other execution. */
export function hourOfKey(key: string | undefined): string | undefined {
  return key?.startsWith(HOUR_KEY) === true ? key.slice(HOUR_KEY.length) : undefined
}

async function textOf(output: { readonly bytes: () => Promise<Uint8Array> }): Promise<string> {
  return new TextDecoder().decode(await output.bytes())
}
