import type { RunFilter, RunRow } from '@varve/store'
import type { Outcome } from '../driver/outcome.ts'
import { dueAt } from './due-at.ts'
import type { KernelParts } from './parts.ts'

/** A run that was taken up again: how far it came, or what keeps it from being driven. */
export type RecoveredRun =
  { readonly runId: string; readonly outcome: Outcome } | { readonly runId: string; readonly error: Error }

/**
 * Takes up all runs of the given workflows that no living process drives and that have something to do; sets timers for
 * those that wait for a time. Runs that another process took meanwhile, and parked ones before their time, are left out. A
 * run of a version that is not among them is parked.
 */
export async function recoverRuns(
  kernel: KernelParts,
  workflows: ReadonlySet<string>,
  concurrency: number,
): Promise<readonly RecoveredRun[]> {
  const recovered: RecoveredRun[] = []
  const queue: string[] = []
  await kernel.env.clock.check()
  for await (const row of unfinished(kernel)) {
    if (!workflows.has(row.workflow) || kernel.drives.has(row.runId)) continue
    const due = dueAt(kernel.env.owner, row)
    if (due === undefined) continue
    if (due <= kernel.env.clock.now()) queue.push(row.runId)
    else kernel.drives.wakeAt(row.runId, due)
  }
  const take = async (): Promise<void> => {
    for (let runId = queue.shift(); runId !== undefined; runId = queue.shift()) {
      const run = await recoverOne(kernel, runId)
      if (run !== undefined) recovered.push(run)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, concurrency) }, take))
  return recovered
}

/** Runs that have not ended, and those that have and still owe others something. */
async function* unfinished(kernel: KernelParts): AsyncGenerator<RowView, void, undefined> {
  yield* listed(kernel, { statuses: ['running', 'blocked'] })
  yield* listed(kernel, { statuses: ['completed', 'failed', 'canceled', 'continued'], owing: true })
}

async function* listed({ env }: KernelParts, filter: RunFilter): AsyncGenerator<RowView, void, undefined> {
  let cursor: string | undefined
  do {
    const page = { limit: 200, ...(cursor !== undefined && { cursor }) }
    const { items, next } = await env.store.runs.list(filter, page)
    yield* items
    cursor = next
  } while (cursor !== undefined)
}

type RowView = Pick<RunRow, 'runId' | 'workflow' | 'version' | 'wakeAt' | 'waiting' | 'lease' | 'problem'>

async function recoverOne({ drives }: KernelParts, runId: string): Promise<RecoveredRun | undefined> {
  try {
    const outcome = await drives.move(runId, { follow: false, parks: true })
    return outcome && { runId, outcome }
  } catch (error) {
    return { runId, error: error as Error }
  }
}
