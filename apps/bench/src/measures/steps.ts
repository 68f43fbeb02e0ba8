import { createKernel, defineWorkflow } from '@varve/kernel'
import type { Store } from '@varve/store'
import { z } from 'zod'

/**
 * So many actions in sequence, none of which does anything: what remains is the price of recording them.
 *
 * @param entered - called when the handler of a run's first action is, before anything else.
 */
export function sequenceOf(entered: () => void = () => undefined) {
  return defineWorkflow(
    {
      name: 'sequence',
      version: '1',
      input: z.strictObject({ steps: z.int() }),
      actions: {
        noop: {
          effect: 'pure',
          run: (_: null, { key }) => {
            if (key === 'step 1') entered()
            return null
          },
        },
      },
      initialState: ({ steps }) => ({ steps, done: 0 }),
    },
    {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, done: state.done + 1 } : state),
      step: ({ steps, done }, next) =>
        done < steps ? next.run('noop', null, { key: `step ${done + 1}` }) : next.complete(done),
    },
  )
}

/** Runs a workflow of so many actions. @returns the time that it took, from its start to its end, in ms. */
export async function timeSteps(store: Store, steps: number): Promise<number> {
  const sequence = sequenceOf()
  const kernel = createKernel({ store, workflows: [sequence] })
  try {
    const startedAt = performance.now()
    const outcome = await kernel.start(sequence, { steps })
    const elapsed = performance.now() - startedAt
    if (outcome.status !== 'completed') throw new Error(`the run of ${steps} steps ended ${outcome.status}`)
    return elapsed
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}
