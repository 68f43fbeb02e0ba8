import { createKernel, defineWorkflow } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import type { Figures } from '../rounds/program.ts'

/** So many timers at once, each of which fires a second after the one before it; then the run ends. */
const sleeping = defineWorkflow(
  {
    name: 'timers',
    version: '1',
    input: z.strictObject({ timers: z.int() }),
    initialState: ({ timers }) => ({ timers, fired: 0 }),
  },
  {
    reduce: (state, event) => (event.type === 'TimerFired' ? { ...state, fired: state.fired + 1 } : state),
    step: ({ timers, fired }, next) =>
      fired === timers
        ? next.complete(fired)
        : next.all(
            // What is asked for once stays open: when the first has fired, all have been asked for.
            Array.from({ length: fired === 0 ? timers : 1 }, (_, at) =>
              next.sleep(1_000 * (timers - at), { key: `timer ${timers - at}` }),
            ),
          ),
  },
)

/** Drives one such run in memory, where time passes at once. */
export async function driveTimers(timers: number): Promise<Figures> {
  const clock = virtualClock()
  await using store = memoryStore({ now: clock.now })
  await using kernel = createKernel({ store, clock, workflows: [sleeping] })
  const startedAt = performance.now()
  let status: string | undefined
  const ended = kernel.start(sleeping, { timers }).then((outcome) => {
    status = outcome.status
  })
  while (status === undefined) {
    await setImmediate()
    clock.skip()
  }
  await ended
  if (status !== 'completed') throw new Error(`the run of ${timers} timers ended ${status}`)
  return { 'ms/timer': (performance.now() - startedAt) / timers }
}
