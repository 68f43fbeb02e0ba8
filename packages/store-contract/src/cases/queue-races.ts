import type { Claim, QueueClaim } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type CaseContext, type ContractCase } from '../contract-case.ts'
import { atMost, atOnce, rowOf } from '../expectations.ts'
import { blocked, claimDue, createRun, runIds } from '../test-run.ts'

const CLAIMERS = 8

/** What claimers get that claim all at once, on handles of their own where the store can be shared. */
async function claimersOf({ store, open }: CaseContext): Promise<(queues: readonly QueueClaim[]) => Promise<Claim[]>> {
  const handles = store.capabilities.shared ? [store, await open(), await open()] : [store]
  return async (queues) => {
    const claims = await atOnce(CLAIMERS, async (n) => {
      const handle = handles[n % handles.length] ?? store
      const order = n % 2 === 0 ? queues : queues.toReversed()
      return claimDue(handle, `worker ${n}`, { queues: order, limit: 2 })
    })
    return claims.flat()
  }
}

export const queueRaceCases: readonly ContractCase[] = contractGroup('queue races', {
  'claimers at once lease no more than the limit, until all are done': async (context) => {
    const { store } = context
    const claimAtOnce = await claimersOf(context)
    await atOnce(20, async (n) => createRun(store, `run-${n}`))
    const done: string[] = []

    for (const _ of atMost(40)) {
      const claims = await claimAtOnce([{ name: 'default', concurrency: 3 }])
      ok(claims.length <= 3, `${claims.length} runs are leased at once`)
      done.push(...runIds(claims))
      for (const claim of claims) await store.runs.release(claim, { expectedHead: 1, run: blocked })
      if (done.length === 20) break
    }

    equal(new Set(done).size, 20)
  },

  'claimers at once lease no more runs of a key than its limit': async (context) => {
    const { store } = context
    const claimAtOnce = await claimersOf(context)
    await atOnce(24, async (n) => createRun(store, `run-${n}`, { concurrencyKey: `key ${n % 3}` }))
    const queues = [{ name: 'default', concurrencyPerKey: 2 }]

    const claims = [...(await claimAtOnce(queues)), ...(await claimDue(store, 'last', { queues }))]

    const rows = await Promise.all(claims.map(async ({ runId }) => rowOf(store, runId)))
    deepEqual(rows.map(({ concurrencyKey }) => concurrencyKey).toSorted(), [
      ...['key 0', 'key 0', 'key 1', 'key 1', 'key 2', 'key 2'],
    ])
  },

  'claimers at once begin no more runs than the rate says': async (context) => {
    const { store, clock } = context
    const claimAtOnce = await claimersOf(context)
    await atOnce(20, async (n) => createRun(store, `run-${n}`))
    const queues = [{ name: 'default', rate: { limit: 5, periodMs: 1000 } }]

    for (const _ of [1, 2]) {
      const claims = [...(await claimAtOnce(queues)), ...(await claimDue(store, 'last', { queues }))]
      equal(claims.length, 5)
      clock.advance(1000)
    }
  },

  "claimers that name limited queues in different orders do not stand in each other's way": async (context) => {
    const { store } = context
    const claimAtOnce = await claimersOf(context)
    const names = ['p', 'q', 'r', 's']
    await atOnce(40, async (n) => createRun(store, `run-${n}`, { queue: names[n % 4] ?? 'p' }))
    const queues = names.map((name) => (name === 's' ? { name } : { name, concurrency: 2 }))
    const taken: string[] = []

    for (const _ of [1, 2, 3]) taken.push(...(await claimAtOnce(queues)).map(({ queue }) => queue))
    taken.push(...(await claimDue(store, 'last', { queues })).map(({ queue }) => queue))

    deepEqual(taken.filter((name) => name !== 's').toSorted(), ['p', 'p', 'q', 'q', 'r', 'r'])
    equal(taken.filter((name) => name === 's').length, 10)
  },
})
