import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, type ManualClock } from '../testing/manual-clock.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

/** An action that takes a minute unless it is aborted. */
function minute(clock: ManualClock) {
  const run = (_: null, { signal }: { readonly signal: AbortSignal }): Promise<null> =>
    new Promise((resolve, reject) => {
      clock.schedule(60_000, () => {
        resolve(null)
      })
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  return { run }
}

/** Sleeps, and then works for a minute. */
function sleeper(clock: ManualClock) {
  return defineWorkflow(
    { name: 'sleeper', version: '1', input: z.null(), actions: { work: minute(clock) } },
    {
      step: ({ results }, next) => {
        if (!results['sleep']) return next.sleep(10_000)
        return results['work'] ? next.complete('done') : next.run('work')
      },
    },
  )
}

function setup<W extends Workflow>(flowAt: (clock: ManualClock) => W, wrap: (store: Store) => Store = (on) => on) {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  const flow = flowAt(clock)
  const kernel = createKernel({ store: wrap(data), clock, workflows: [flow], onWarning: () => undefined })
  return { clock, data, flow, kernel }
}

async function pass(clock: ManualClock, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s++) await clock.advance(1000)
}

/** A store on which no lease can be renewed while it is down. */
function withoutRenewals(data: Store, isDown: () => boolean): Store {
  const renew: Store['runs']['renew'] = async (...args) => {
    if (isDown()) throw new StoreError('STORE_UNREACHABLE', 'it is down', { retryable: true })
    return data.runs.renew(...args)
  }
  return { ...data, runs: { ...data.runs, renew } }
}

describe('a run for which nobody waits, and whose lease is lost because it could not be renewed,', () => {
  test('is taken up again when that is over', async () => {
    let down = false
    const { clock, data, flow, kernel } = setup(sleeper, (store) => withoutRenewals(store, () => down))
    await kernel.start(flow, null, { runId: 'r' })
    await pass(clock, 11)

    down = true
    await pass(clock, 25)
    down = false
    await pass(clock, 120)

    expect(await data.runs.find('r')).toMatchObject({ status: 'completed' })
  })

  test('is taken up again where another run waits for it', async () => {
    let down = false
    const child = (at: ManualClock) =>
      defineWorkflow(
        { name: 'child', version: '1', input: z.null(), actions: { work: minute(at) } },
        { step: ({ results }, next) => (results['work'] ? next.complete('done') : next.run('work')) },
      )
    const parent = (of: Workflow<null, string>) =>
      defineWorkflow(
        { name: 'parent', version: '1', input: z.null() },
        { step: ({ results }, next) => (results['child'] ? next.complete('done') : next.child(of, null)) },
      )
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    const [inner, store] = [child(clock), withoutRenewals(data, () => down)]
    const outer = parent(inner)
    const kernel = createKernel({ store, clock, workflows: [inner, outer], onWarning: () => undefined })
    void kernel.start(outer, null, { runId: 'r' })
    await pass(clock, 1)

    down = true
    await pass(clock, 25)
    down = false
    await pass(clock, 120)

    expect(await data.runs.find('r')).toMatchObject({ status: 'completed' })
  })
})

test('a run whose time comes while another process has it is taken up when that has died', async () => {
  const { clock, data, flow, kernel } = setup(sleeper)
  await kernel.start(flow, null, { runId: 'r' })
  const owner = { id: 'gone', boot: null, pidNamespace: null, pid: 1, startedAt: null }
  await data.runs.acquire('r', { owner, leaseMs: 30_000 })

  await pass(clock, 120)

  expect(await data.runs.find('r')).toMatchObject({ status: 'completed' })
})

test('a run that was given back keeps its time although the answer to that did not come', async () => {
  const child = defineWorkflow(
    { name: 'child', version: '1', input: z.null(), signals: { go: z.null() } },
    { step: ({ results }, next) => (results['go'] ? next.complete('done') : next.waitFor('go')) },
  )
  const flow = defineWorkflow(
    { name: 'flow', version: '1', input: z.null() },
    {
      step: ({ results }, next) => {
        if (!results['first']) return next.sleep(10_000, { key: 'first' })
        if (results['limit']) return next.complete('timed out')
        const both = next.all([next.child(child, null), next.sleep(60_000, { key: 'limit' })])
        return results['child'] ? next.complete('done') : both
      },
    },
  )
  let lost = 0
  const { clock, data, kernel } = setup(
    () => flow,
    (store) => {
      const release: Store['runs']['release'] = async (claim, request) => {
        const outcome = await store.runs.release(claim, request)
        if (claim.runId === 'r' && lost++ === 0) throw new StoreError('UNKNOWN_OUTCOME', 'the answer is lost')
        return outcome
      }
      return { ...store, runs: { ...store.runs, release } }
    },
  )
  kernel.register(child)
  expect(await kernel.start(flow, null, { runId: 'r' })).toMatchObject({ status: 'blocked' })

  await pass(clock, 80)

  expect(lost).toBeGreaterThan(0)
  expect(await data.runs.find('r')).toMatchObject({ status: 'completed', recoveries: 0 })
})

test('a kernel that is disposed gives its runs back although its subscription cannot be ended', async () => {
  const { clock, data, flow, kernel } = setup(sleeper, (store) => {
    const end = async (): Promise<never> => {
      throw new Error('the connection is gone')
    }
    return { ...store, notifications: { subscribe: () => ({ [Symbol.asyncDispose]: end }) } }
  })
  await kernel.start(flow, null, { runId: 'r' })
  await pass(clock, 11)
  expect((await data.runs.find('r'))?.lease).toBeDefined()

  await kernel[Symbol.asyncDispose]()

  expect((await data.runs.find('r'))?.lease).toBe(undefined)
})
