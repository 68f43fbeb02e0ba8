import { allItems, shown, type RunRow } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Outcome } from '../driver/outcome.ts'
import { KernelError } from '../errors.ts'
import { dueAt } from './due-at.ts'
import type { KernelParts } from './parts.ts'

/** A run that was taken up again: how far it came, or what keeps it from being driven. */
export type RecoveredRun =
  { readonly runId: string; readonly outcome: Outcome } | { readonly runId: string; readonly error: Error }

/**
 * Takes up all runs of the given workflows that no living process drives and that have something to do; sets timers for
 * those that wait for a time. Runs that another process took meanwhile, and parked ones before their time, are left out. A
 * run of a version that is not among them is parked.
 *
 * @throws KernelError `INVALID_INPUT` for a concurrency that is no whole number from 1.
 */
export async function recoverRuns(
  kernel: KernelParts,
  workflows: ReadonlySet<string>,
  concurrency: number,
): Promise<readonly RecoveredRun[]> {
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new KernelError('INVALID_INPUT', `concurrency must be a whole number from 1, got ${shown(concurrency)}`)
  }
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
  await Promise.all(Array.from({ length: Math.min(concurrency, queue.length) }, take))
  return recovered
}

/** Runs that have not ended, and those that have and still owe others something. */
async function* unfinished({ env: { store } }: KernelParts): AsyncGenerator<RunRow, void, undefined> {
  yield* allItems((page) => store.runs.list({ statuses: ['running', 'blocked'] }, page))
  const ended = ['completed', 'failed', 'canceled', 'continued'] as const
  yield* allItems((page) => store.runs.list({ statuses: ended, owing: true }, page))
}

async function recoverOne(kernel: KernelParts, runId: string): Promise<RecoveredRun | undefined> {
  try {
    const outcome = await kernel.drives.move(runId, { follow: false, parks: true })
    if (outcome !== undefined) return { runId, outcome }
    await lookLater(kernel, runId)
    return undefined
  } catch (error) {
    return { runId, error: error as Error }
  }
}

/** What another process took before its turn came may be lost with that process. */
const PAUSE_MS = 1000

async function lookLater({ env, drives }: KernelParts, runId: string): Promise<void> {
  const row = await repeatable(env, () => env.store.runs.find(runId))
  const due = row && dueAt(env.owner, row)
  if (due !== undefined && !drives.has(runId)) drives.wakeAt(runId, Math.max(due, env.clock.now() + PAUSE_MS))
}
