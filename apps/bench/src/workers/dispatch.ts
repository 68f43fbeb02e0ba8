import { createKernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { sequenceOf } from '../work/sequence.ts'
import { addCounts, countingStore, type CallCounts } from './call-counts.ts'
import { machineMs } from './machine-time.ts'
import type { Workplace } from './workplace.ts'

/** Steps of each run. */
export const STEPS_PER_RUN = 5

/** Runs that are enqueued at once. */
const ENQUEUED_AT_ONCE = 10

/** What it took to drive runs to their ends. */
export interface DrivenRuns {
  readonly ms: number
  /** Of everybody who had to do with them, from the first start to the last end. */
  readonly calls: CallCounts
}

/**
 * Runs that are enqueued here and driven by workers.
 *
 * @param enqueued - `before` the workers begin, from which moment on they are timed, or `meanwhile`: timed from the first one.
 */
export async function timeDispatched(
  store: Store,
  workplaces: readonly Workplace[],
  { runs, enqueued }: { readonly runs: number; readonly enqueued: 'before' | 'meanwhile' },
): Promise<DrivenRuns> {
  const counting = countingStore(store)
  const sequence = sequenceOf()
  const kernel = createKernel({ store: counting.store, workflows: [sequence] })
  const enqueue = (): Promise<void> =>
    manyAtOnce(runs, async () => {
      await kernel.start(sequence, { steps: STEPS_PER_RUN }, { wait: false })
    })
  const begin = async (): Promise<void> => {
    await Promise.all(workplaces.map((workplace) => workplace.begin()))
  }
  const [first, second] = enqueued === 'before' ? [enqueue, begin] : [begin, enqueue]
  try {
    const lastEnd = lastEndOf(runs, workplaces)
    await first()
    const startedAt = machineMs()
    const [endedAt] = await Promise.all([lastEnd, second()])
    const calls = await Promise.all(workplaces.map((workplace) => workplace.rest()))
    return { ms: endedAt - startedAt, calls: addCounts([counting.take(), ...calls]) }
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}

function lastEndOf(runs: number, workplaces: readonly Workplace[]): Promise<number> {
  let left = runs
  let last = 0
  const allEnded = new Promise<number>((resolve) => {
    const ended = (at: number): void => {
      last = Math.max(last, at)
      if (--left === 0) resolve(last)
    }
    for (const workplace of workplaces) workplace.listen({ ended })
  })
  return Promise.race([allEnded, ...workplaces.map(({ lost }) => lost)])
}

async function manyAtOnce(count: number, act: () => Promise<void>): Promise<void> {
  let left = count
  const actInTurn = async (): Promise<void> => {
    while (left-- > 0) await act()
  }
  await Promise.all(Array.from({ length: ENQUEUED_AT_ONCE }, actInTurn))
}
