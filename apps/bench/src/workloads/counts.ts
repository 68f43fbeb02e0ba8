import type { StoreLocation } from '../sites/store-location.ts'
import { plainPostgresCosts, postgresCosts, storeCosts } from '../counts/costs.ts'
import { canTrace, countFlushes } from '../counts/fsyncs.ts'
import type { Amounts, Figures, Program, Workload } from '../rounds/program.ts'
import { kernelRuns, plainRuns } from './runs.ts'
import { kernelSteps, plainSteps } from './steps.ts'

const steps = { few: 20, many: 220 }
const runs = { few: 20, many: 120 }

/** What a step of one run, and a run of many at once, ask of a store and of its database: counted, not timed. */
export const counts: Workload = {
  title: 'Counts',
  prepare: async ({ store, location }, amounts) => ({
    programs: [
      { name: 'varve, a step', measure: () => storeCosts(store, kernelSteps, steps) },
      { name: 'varve, a run of five', measure: () => storeCosts(store, kernelRuns, runs) },
      ...(location?.kind === 'postgres' ? onPostgres(location.url) : []),
      ...(location?.kind === 'sqlite' && canTrace() ? onSqlite(location, amounts) : []),
    ],
  }),
}

function onPostgres(url: string): readonly Program[] {
  const sealed = { sealed: true }
  return [
    { name: 'varve, a step on the server', measure: () => postgresCosts(url, kernelSteps, steps) },
    { name: 'varve, a run of five on the server', measure: () => postgresCosts(url, kernelRuns, runs) },
    {
      name: 'plain, a step on the server',
      measure: () => plainPostgresCosts(url, (database, count) => plainSteps(database, count, sealed), steps),
    },
    {
      name: 'plain, a run of five on the server',
      measure: () => plainPostgresCosts(url, (database, count) => plainRuns(database, count, sealed), runs),
    },
  ]
}

/** Counted from outside, in a process that is watched. */
function onSqlite({ synchronous }: StoreLocation & { readonly kind: 'sqlite' }, amounts: Amounts): readonly Program[] {
  const site = synchronous === 'FULL' ? 'sqlite-full' : 'sqlite-normal'
  const flushes = async (workload: 'steps' | 'runs', work: number): Promise<Figures> => {
    const all = await countFlushes({ workload, site, amounts: { ...amounts, steps: work, runs: work } })
    return { flushes: (all.get('varve') ?? NaN) / work, 'flushes of plain': (all.get('plain') ?? NaN) / work }
  }
  return [
    { name: 'varve, a step on the disk', measure: () => flushes('steps', steps.many) },
    { name: 'varve, a run of five on the disk', measure: () => flushes('runs', runs.many) },
  ]
}
