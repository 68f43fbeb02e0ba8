import { setTimeout as delay } from 'node:timers/promises'
import { machineMs } from './machine-time.ts'
import type { Workplace } from './workplace.ts'

/** A worker is idle so long after the run before. */
const REST_MS = 10

/**
 * Starts runs one after the other while a worker is idle.
 *
 * @param start - starts a run of one step, which the workplace drives.
 * @param spreadMs - the starts are spread over so long a time after the last run: a worker that polls looks in equal
 * intervals, and must not be met at the same moment of each.
 * @returns for each the time from calling `start` to the call of its first action's handler, in ms.
 */
export async function timeLatencies(
  start: () => Promise<unknown>,
  workplace: Workplace,
  { starts, spreadMs }: { readonly starts: number; readonly spreadMs: number },
): Promise<readonly number[]> {
  await workplace.begin()
  const latencies: number[] = []
  for (let turn = 1; turn <= starts; turn++) {
    await delay(REST_MS + spreadMs * evenlySpread(turn))
    const { entered, ended } = nextRunOf(workplace)
    const startedAt = machineMs()
    await Promise.all([start(), Promise.race([ended, workplace.lost])])
    latencies.push((await entered) - startedAt)
  }
  await workplace.rest()
  return latencies
}

function nextRunOf(workplace: Workplace): { readonly entered: Promise<number>; readonly ended: Promise<number> } {
  const entered = Promise.withResolvers<number>()
  const ended = Promise.withResolvers<number>()
  workplace.listen({ entered: entered.resolve, ended: ended.resolve })
  return { entered: entered.promise, ended: ended.promise }
}

/** From 0 to 1: multiples of the golden ratio fill every interval evenly. */
function evenlySpread(n: number): number {
  return (n * 0.6180339887498949) % 1
}
