import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { allPages, rejectsWith } from '../expectations.ts'
import { extend, post, startRun } from '../test-run.ts'

function idsOf(posts: readonly { readonly id: string }[]): readonly string[] {
  return posts.map(({ id }) => id)
}

export const postPageCases: readonly ContractCase[] = contractGroup('inbox', {
  'waiting posts come in pages, and one that was taken meanwhile hides none behind it': async ({ store }) => {
    const run = await startRun(store)
    const ids = Array.from({ length: 10 }, (_, i) => `p${i}`)
    for (const id of ids) await post(store, 'run-1', id)

    const first = await store.inbox.list('run-1', { limit: 4 })
    await extend(store, run, { take: ['p0', 'p2', 'p5'] })
    const pages = await allPages(async (request) =>
      store.inbox.list('run-1', { limit: 4, cursor: request.cursor ?? first.next ?? '' }),
    )

    deepEqual(idsOf(first.items), ids.slice(0, 4))
    deepEqual(pages.map(idsOf), [['p4', 'p6', 'p7', 'p8'], ['p9']])
  },

  'rejected posts come in pages, oldest first': async ({ store }) => {
    const run = await startRun(store)
    const ids = Array.from({ length: 25 }, (_, i) => `p${i}`)
    for (const id of ids) await post(store, 'run-1', id)
    await extend(store, run, { reject: ids.map((id) => ({ id, error: 'null' })) })

    const pages = await allPages(async (request) => store.inbox.rejected('run-1', { ...request, limit: 10 }))

    deepEqual(
      pages.map((page) => page.map(({ id }) => id)),
      [ids.slice(0, 10), ids.slice(10, 20), ids.slice(20)],
    )
    for (const limit of [0, 1001]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.inbox.rejected('run-1', { limit }))
      await rejectsWith('INVALID_ARGUMENT', async () => store.inbox.list('run-1', { limit }))
    }
    for (const cursor of ['no cursor', '', null, 7, []] as unknown as string[]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.inbox.rejected('run-1', { limit: 10, cursor }))
      await rejectsWith('INVALID_ARGUMENT', async () => store.inbox.list('run-1', { limit: 10, cursor }))
    }
  },

  'rejected posts stand in the order in which they were kept, whenever they were rejected': async ({ store }) => {
    let run = await startRun(store)
    for (const id of ['a', 'b', 'c']) await post(store, 'run-1', id)
    run = await extend(store, run, { reject: [{ id: 'c', error: 'null' }] })
    await extend(store, run, { reject: ['b', 'a'].map((id) => ({ id, error: 'null' })) })

    const pages = await allPages(async (request) => store.inbox.rejected('run-1', { ...request, limit: 2 }))

    deepEqual(
      pages.map((page) => page.map(({ id }) => id)),
      [['a', 'b'], ['c']],
    )
  },

  'a page of posts ends before its bodies have more than 4 MiB, and has one at least': async ({ store }) => {
    const run = await startRun(store)
    const MiB = 1024 * 1024
    // Of two bytes each in UTF-8, but for the quotes.
    const bodies = [1, 1, 5, 1, 2, 1, 1].map((size) => `"${'é'.repeat((size * MiB) / 2 - 1)}"`)
    for (const [n, body] of bodies.entries()) {
      equal(await store.inbox.post('run-1', { id: `p${n}`, type: 'T', body }, { maxWaiting: 9 }), 'kept')
    }
    const expected = [['p0', 'p1'], ['p2'], ['p3', 'p4', 'p5'], ['p6']]

    const waiting = await allPages(async (request) => store.inbox.list('run-1', { ...request, limit: 100 }))
    const reject = bodies.map((_, n) => ({ id: `p${n}`, error: '{}' }))
    await extend(store, run, { reject })
    const rejected = await allPages(async (request) => store.inbox.rejected('run-1', { ...request, limit: 100 }))

    deepEqual(waiting.map(idsOf), expected)
    deepEqual(rejected.map(idsOf), expected)
    equal(
      waiting.flat().every(({ body }, n) => body === bodies[n]),
      true,
    )
  },

  'a post that comes when all before it are gone stands behind them': async ({ store }) => {
    const run = await startRun(store)
    for (const id of ['a', 'b', 'c']) await post(store, 'run-1', id)
    const { next } = await store.inbox.list('run-1', { limit: 2 })
    await extend(store, run, { take: ['a', 'b', 'c'] })
    await post(store, 'run-1', 'd')

    const page = await store.inbox.list('run-1', { limit: 2, ...(next !== undefined && { cursor: next }) })

    deepEqual(idsOf(page.items), ['d'])
  },
})
