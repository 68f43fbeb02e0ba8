import { defineWorkflow } from '@varve/kernel'
import { z } from 'zod'

/** One action, then the end. */
export const simple = defineWorkflow(
  {
    name: 'simple',
    version: '1',
    input: z.object({ n: z.number() }),
    actions: { call: { run: ({ n }: { n: number }) => n } },
  },
  {
    step: ({ results, input }, next) => (results['call'] ? next.complete(input.n) : next.run('call', input)),
  },
)

/** Sleeps for a minute. */
export const sleeper = defineWorkflow(
  { name: 'sleeper', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['sleep'] ? next.complete('awake') : next.sleep(60_000)) },
)

/** Sleeps for 300 ms. */
export const napper = defineWorkflow(
  { name: 'napper', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['sleep'] ? next.complete('awake') : next.sleep(300)) },
)

/** Asks, and takes no answer within a minute for one, too. */
export const asker = defineWorkflow(
  { name: 'asker', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.string() } } },
  {
    step: ({ results }, next) =>
      results['ask'] ? next.complete('over') : next.interrupt('ask', null, { expiresInMs: 60_000 }),
  },
)

/** Waits for a signal. */
export const waiter = defineWorkflow(
  { name: 'waiter', version: '1', input: z.null(), signals: { go: z.string() } },
  { step: ({ results }, next) => (results['go'] ? next.complete('gone') : next.waitFor('go')) },
)

/** Starts a child and waits for its end. */
export const parent = defineWorkflow(
  { name: 'parent', version: '1', input: z.null() },
  {
    step: ({ results }, next) =>
      results['child'] ? next.complete('grown') : next.child(simple, { n: 1 }, { key: 'child' }),
  },
)

/** Its action calls this. */
export function calling(run: (n: number, signal: AbortSignal) => unknown, name = 'calling') {
  return defineWorkflow(
    {
      name,
      version: '1',
      input: z.object({ n: z.number() }),
      actions: {
        call: {
          retry: { maxAttempts: 2, baseMs: 60_000, jitter: 'none' },
          run: async ({ n }: { n: number }, { signal }) => {
            await run(n, signal)
            return n
          },
        },
      },
    },
    { step: ({ results, input }, next) => (results['call'] ? next.complete(input.n) : next.run('call', input)) },
  )
}

/** Calls this once for each number up to `n`, one after the other. */
export function inTurn(run: (n: number) => unknown) {
  return defineWorkflow(
    {
      name: 'in-turn',
      version: '1',
      input: z.object({ n: z.number() }),
      actions: {
        call: {
          run: async (n: number) => {
            await run(n)
          },
        },
      },
    },
    {
      step: ({ results, input: { n } }, next) => {
        const done = Object.keys(results).length
        return done < n ? next.run('call', done, { key: `call:${done}` }) : next.complete(done)
      },
    },
  )
}
