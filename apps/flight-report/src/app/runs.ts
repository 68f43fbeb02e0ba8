import type { Kernel } from '@varve/kernel'
import type { RunRow } from '@varve/store'
import type { FlightReport } from '../flight-plan.ts'

/** The newest run that has not ended. */
export async function findUnfinished(kernel: Kernel, { id, version }: FlightReport): Promise<RunRow | undefined> {
  const { items } = await kernel.list({ workflow: id, statuses: ['running', 'blocked'] }, { limit: 100 })
  return items.find((row) => row.version === version)
}

/** The newest run, whatever became of it. */
export async function findNewest(kernel: Kernel, { id, version }: FlightReport): Promise<RunRow | undefined> {
  const { items } = await kernel.list({ workflow: id }, { limit: 100 })
  return items.find((row) => row.version === version)
}

/** The number after the newest run's. Of two processes that start at once, both mean the same run, and one follows. */
export async function nextRunId(kernel: Kernel, { id }: FlightReport): Promise<string> {
  const { items } = await kernel.list({ workflow: id }, { limit: 1 })
  const newest = /\d+$/.exec(items[0]?.runId ?? '')?.[0]
  return `${id}-${Number(newest ?? 0) + 1}`
}
