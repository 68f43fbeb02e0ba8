import { setTimeout as delay } from 'node:timers/promises'
import { createKernel, type Kernel } from '@varve/kernel'
import type { RunRow, Store } from '@varve/store'
import type { PostgresServer } from '../../../../test/postgres/server.ts'
import { openLedger, openStore, type Ledger, type Place } from '../testing/place.ts'
import { stepsWorkflow } from '../testing/workloads.ts'
import { makeFaults, type FaultCounts } from './faults.ts'
import { Fleet } from './fleet.ts'
import { acknowledged, loadRuns } from './load.ts'
import { judge, type Suffered } from './verdict.ts'

/** How long leases last, in ms. */
const LEASE_MS = 1000

/** How a chaos is played. */
export interface ChaosOptions {
  readonly place: Place
  readonly workers: number
  readonly runs: number
  readonly forMs: number
  /** How long it may take afterwards until every run has settled, in ms. */
  readonly patienceMs: number
  readonly random: () => number
  readonly server?: PostgresServer
}

/** What became of it. */
export interface ChaosReport {
  readonly faults: readonly string[]
  readonly made: FaultCounts
  readonly suffered: Suffered
  readonly settled: { readonly succeeded: number; readonly failed: number; readonly retried: number }
  /** From the end of the faults until every run had settled, in ms. */
  readonly settledInMs: number
}

/** Faults while workers drive runs; then the workers go on until all is done, what is in doubt is settled, and all is judged. */
export async function playChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { place, workers, runs, forMs, random, server } = options
  await using store = await openStore(place)
  const ledger = await openLedger(place)
  const workflow = stepsWorkflow({ write: async () => undefined, hold: async () => undefined, die: () => undefined })
  const silent = { store, onWarning: () => undefined }
  await using starter = createKernel({ ...silent, workflows: [workflow] })
  await using poster = createKernel({ ...silent, workflows: [] })
  const fleet = new Fleet({ place, workload: 'steps', leaseMs: LEASE_MS, concurrency: 10 }, workers)
  let last: Fleet | undefined
  try {
    await fleet.settled()
    const [made] = await Promise.all([
      makeFaults({ fleet, random, forMs, leaseMs: LEASE_MS, ...(server && { server }) }),
      loadRuns({ starter, poster, workflow, runs, forMs, random }),
    ])
    await fleet.settled()
    const began = performance.now()
    const open = await rested(store, options)
    const settledInMs = Math.round(performance.now() - began)
    // What is gone cannot do anything any more: only then is known what did not happen.
    await fleet.goHome()
    const verdicts = await settleAll(poster, ledger, open, random)
    last = new Fleet({ place, workload: 'steps', leaseMs: LEASE_MS }, 1)
    const stuck = (await rested(store, options)).map(
      ({ runId, status, problem }) => `${runId}: ${status} ${problem?.code}`,
    )
    await last.goHome()
    const evidence = { store, kernel: starter, runs, effects: await ledger.read(), unpaid: verdicts.unpaid }
    const { faults, suffered } = await judge(evidence)
    const accidents = [...fleet.accidents, ...last.accidents]
    return { faults: [...accidents, ...stuck, ...faults], made, suffered, settled: verdicts.counts, settledInMs }
  } finally {
    await Promise.all([fleet.sink(), last?.sink()])
    await ledger.close()
  }
}

/**
 * Waits until every run has ended, is in doubt or is parked, and nobody holds a lease.
 *
 * @returns those that have not ended.
 */
async function rested(store: Store, { runs, patienceMs }: ChaosOptions): Promise<readonly RunRow[]> {
  const until = performance.now() + patienceMs
  for (;;) {
    const open = await openRuns(store, runs)
    const restless = open.filter((row) => isLeased(row) || !(isInDoubt(row) || row.problem !== undefined))
    if (restless.length === 0) return open
    if (performance.now() > until) throw new Error(`runs do not come to rest: ${JSON.stringify(restless.slice(0, 5))}`)
    await delay(100)
  }
}

async function openRuns(store: Store, runs: number): Promise<readonly RunRow[]> {
  const { items } = await store.runs.list({ statuses: ['running', 'blocked'] }, { limit: Math.min(1000, runs) })
  return items
}

/** One that died right after it had recorded a doubt leaves a lease behind that nobody has a reason to take. */
function isLeased({ lease }: RunRow): boolean {
  return lease !== undefined && lease.until > Date.now()
}

/** An action that is to be tried again has a time; only one in doubt waits for somebody to say what became of it. */
function isInDoubt({ status, blockedOn, wakeAt, waiting }: RunRow): boolean {
  return status === 'blocked' && blockedOn.every(({ kind }) => kind === 'action') && wakeAt === null && waiting === 0
}

/** Says what became of every payment in doubt: the ledger knows. What did not happen is given up, or tried again. */
async function settleAll(poster: Kernel, ledger: Ledger, open: readonly RunRow[], random: () => number) {
  const counts = { succeeded: 0, failed: 0, retried: 0 }
  const unpaid = new Set<string>()
  const paid = new Set((await ledger.read()).flatMap(({ key, runId }) => (key === 'pay' ? [runId] : [])))
  for (const row of open.filter((each) => isInDoubt(each))) {
    const { runId } = row
    const outcome = paid.has(runId)
      ? ({ status: 'succeeded', output: 'by the ledger' } as const)
      : random() < 0.5
        ? ({ status: 'failed', message: 'did not happen' } as const)
        : ({ status: 'retry' } as const)
    await acknowledged(() => poster.settle(runId, { key: 'pay', outcome }))
    counts[outcome.status === 'retry' ? 'retried' : outcome.status]++
    if (outcome.status === 'failed') unpaid.add(runId)
  }
  return { counts, unpaid }
}
