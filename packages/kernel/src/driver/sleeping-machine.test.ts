import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

type Renew = Store['runs']['renew']

const HOUR = 3_600_000

/** A machine that can sleep: its clock has gone on when it wakes up, its timers and its monotonic clock have not. */
function machine() {
  const clock = manualClock()
  let sleptMs = 0
  const now = (): number => clock.now() + sleptMs
  const data = memoryStore({ now })
  return { clock, data, awake: { ...clock, now }, sleep: (ms: number) => void (sleptMs += ms) }
}

/** Calls `then` when an append has been made, and before its answer comes. */
function answering(data: Store, then: () => Promise<unknown>): Store {
  const append: Store['events']['append'] = async (...args) => {
    const answer = await data.events.append(...args)
    await then()
    return answer
  }
  return { ...data, events: { ...data.events, append } }
}

/** Pays at most once, when it has looked at the bill. */
function payment(calls: string[]) {
  const call = (name: string) => async (): Promise<null> => {
    calls.push(name)
    return null
  }
  return defineWorkflow(
    {
      ...{ name: 'payment', version: '1', input: z.null() },
      actions: { look: { run: call('look') }, pay: { effect: 'at-most-once', run: call('pay') } },
    },
    {
      step: ({ results }, next) => {
        if (!results['look']) return next.run('look')
        return results['pay'] ? next.complete(null) : next.run('pay')
      },
    },
  )
}

/** Starts a payment on a machine that sleeps for an hour amid each append behind the look at the bill, and what happens then. */
function pay(
  meanwhile: (data: Store) => Promise<unknown> = async () => undefined,
  wrap: (renew: Renew) => Renew = (renew) => renew,
) {
  const { clock, data, awake, sleep } = machine()
  const calls: string[] = []
  const renew = wrap((...args) => data.runs.renew(...args))
  const store = answering({ ...data, runs: { ...data.runs, renew } }, async () => {
    if (calls.length === 0) return
    sleep(HOUR)
    await clock.advance(1)
    await meanwhile(data)
  })
  const workflow = payment(calls)
  const kernel = createKernel({ store, clock: awake, workflows: [workflow] })
  return { clock, data, calls, paying: kernel.start(workflow, null, { runId: 'r' }) }
}

test('a machine that slept beyond its lease, when somebody else has the run, starts nothing', async () => {
  const { data, calls, paying } = pay((store) =>
    store.runs.acquire('r', { owner: { ...processOwner(), id: 'other' }, leaseMs: 10 * HOUR }),
  )
  paying.catch(() => undefined)
  for (let i = 0; i < 5; i++) await settled()

  expect(await typesOf(data, 'r')).toContain('ActionSucceeded')
  expect(calls).toEqual(['look'])
})

test('a machine that slept beyond its lease goes on when nobody has taken the run', async () => {
  const { calls, paying } = pay()

  expect(await paying).toMatchObject({ status: 'completed' })
  expect(calls).toEqual(['look', 'pay'])
})

test('a machine that slept beyond its lease goes on when its network comes back', async () => {
  let asked = 0
  const { clock, calls, paying } = pay(undefined, (renew) => async (...args) => {
    if (++asked < 3) throw new StoreError('STORE_UNREACHABLE', 'no network', { retryable: true })
    return renew(...args)
  })
  for (let i = 0; i < 5; i++) await settled()
  const atOnce = [asked, ...calls]
  await clock.advance(10_000)

  expect(await paying).toMatchObject({ status: 'completed' })
  expect(atOnce).toEqual([1, 'look'])
  expect([asked, ...calls]).toEqual([3, 'look', 'pay'])
})
