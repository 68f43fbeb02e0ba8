import { defineWorkflow } from '@varve/kernel'
import { z } from 'zod'

/** So many steps in sequence, each of which answers a text of so many KiB. */
export function blobsOf(kib: number) {
  const text = 'x'.repeat(1024 * kib)
  return defineWorkflow(
    {
      name: 'blobs',
      version: '1',
      input: z.strictObject({ steps: z.int() }),
      actions: { make: { effect: 'pure', run: (_: null) => text } },
      initialState: ({ steps }) => ({ steps, done: 0 }),
    },
    {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, done: state.done + 1 } : state),
      step: ({ steps, done }, next) =>
        done < steps ? next.run('make', null, { key: `step ${done + 1}` }) : next.complete(done),
    },
  )
}
