import { createKernel, defineWorkflow } from '@varve/kernel'
import type { Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { driveFanOut } from '../plain/fan-out.ts'
import type { Figures, Workload } from '../rounds/program.ts'
import { keyOf, payloadOf, work, type Payload } from '../work/sequence.ts'

/** So many actions at once, and the run ends when all of them have. */
export const fanning = defineWorkflow(
  {
    name: 'fan-out',
    version: '1',
    input: z.strictObject({ fan: z.int() }),
    actions: { work: { effect: 'pure', run: (input: Payload) => work(input) } },
    initialState: ({ fan }) => ({ fan, done: 0 }),
  },
  {
    reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, done: state.done + 1 } : state),
    step: ({ fan, done }, next) =>
      done === fan
        ? next.complete(done)
        : next.all(Array.from({ length: fan }, (_, at) => next.run('work', payloadOf(at + 1), { key: keyOf(at + 1) }))),
  },
)

/** One run with many actions at once, joined. */
export const fanOut: Workload = {
  title: 'W4 fan-out',
  // As many actions as five rounds of sequential steps have steps.
  warmUps: 10,
  prepare: async ({ store, plain }, { fan }) => {
    const plainFan = (sealed: boolean) => () => timed(() => driveFanOut(plain, fan, { runId: randomUUID(), sealed }))
    return {
      programs: [
        { name: 'varve', measure: () => kernelFan(store, fan) },
        { name: 'plain', measure: plainFan(true) },
        { name: 'plain, unsealed', measure: plainFan(false) },
      ],
    }
  },
}

async function timed(drive: () => Promise<void>): Promise<Figures> {
  const startedAt = performance.now()
  await drive()
  return { ms: performance.now() - startedAt }
}

/** Until the outcome: the snapshot of the end, for which a caller does not wait either, is written afterwards. */
async function kernelFan(store: Store, fan: number): Promise<Figures> {
  await using kernel = createKernel({ store, workflows: [fanning] })
  return await timed(async () => {
    const { status } = await kernel.start(fanning, { fan })
    if (status !== 'completed') throw new Error(`the fan-out ended ${status}`)
  })
}
