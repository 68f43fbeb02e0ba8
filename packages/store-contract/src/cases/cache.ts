import { defaultLimits, type CacheDraft, type CacheEntry, type CacheFilter, type Json, type Store } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { allPages, atOnce, rejectsWith } from '../expectations.ts'
import type { TestClock } from '../harness.ts'
import { sampleIds, wrongIds } from '../sample-ids.ts'
import { byBytes, odd, wrong } from './ids.ts'

const [a, b, c] = sampleIds(3) as [CacheDraft['artifacts'][0], CacheDraft['artifacts'][0], CacheDraft['artifacts'][0]]

function draft(changes: Partial<CacheDraft> = {}): CacheDraft {
  return { key: 'k', group: 'g', artifacts: [], body: { total: 7 }, ...changes }
}

function keysOf(entries: readonly CacheEntry[]): readonly string[] {
  return entries.map(({ key }) => key)
}

/** All entries that match, read one by one. */
async function listed(store: Store, filter: CacheFilter): Promise<readonly string[]> {
  return keysOf((await allPages(async (page) => store.cache.list(filter, { ...page, limit: 1 }))).flat())
}

/** Five entries of two groups, a second apart. */
async function fiveEntries({ cache }: Store, clock: TestClock): Promise<void> {
  for (const [n, group] of ['x', 'y', 'x', 'x', 'y'].entries()) {
    await cache.putIfAbsent(draft({ key: `k${n + 1}`, group }))
    clock.advance(1000)
  }
}

const entryCases = contractGroup('cache', {
  'an entry is found as it was put, with the instant of keeping': async ({ store, clock }) => {
    clock.advance(5)
    const body = JSON.parse(
      '{"__proto__":{"a":[1,null,true,"\\u0000 ✓ 𝒳"]},"n":9007199254740991,"z":-0.5,"e":{}}',
    ) as Json
    const given = draft({ artifacts: [c, a, b], body })

    const kept = await store.cache.putIfAbsent(given)

    deepEqual(kept, { ...given, createdAt: clock.now() })
    deepEqual(await store.cache.find('k'), kept)
    equal(await store.cache.find('other'), undefined)
  },

  'a second entry for a key changes nothing, and is told the first': async ({ store, clock }) => {
    const first = await store.cache.putIfAbsent(draft({ artifacts: [a] }))
    clock.advance(1000)

    const second = await store.cache.putIfAbsent(draft({ group: 'other', artifacts: [b], body: 'other' }))

    deepEqual(second, first)
    deepEqual(await store.cache.find('k'), first)
    deepEqual(await store.cache.referred([a, b]), [a])
    deepEqual(await listed(store, { group: 'other' }), [])
  },

  'of many at once one wins, and all are told which': async ({ store }) => {
    const ids = sampleIds(20)

    const told = await atOnce(20, async (n) =>
      store.cache.putIfAbsent(draft({ group: `g${n}`, artifacts: ids.slice(n, n + 1), body: n })),
    )

    const kept = await store.cache.find('k')
    for (const entry of told) deepEqual(entry, kept)
    deepEqual(await store.cache.referred(ids), ids.slice(kept?.body as number, (kept?.body as number) + 1))
    equal((await store.cache.list({}, { limit: 100 })).items.length, 1)
  },

  'a deleted entry is gone, and its key is free again': async ({ store, clock }) => {
    await store.cache.putIfAbsent(draft())
    await store.cache.putIfAbsent(draft({ key: 'other' }))

    equal(await store.cache.delete('k'), true)

    equal(await store.cache.find('k'), undefined)
    equal(await store.cache.delete('k'), false)
    deepEqual(await listed(store, {}), ['other'])
    clock.advance(1000)
    deepEqual(await store.cache.putIfAbsent(draft({ body: 8 })), { ...draft({ body: 8 }), createdAt: clock.now() })
  },

  'nobody who holds an entry can change what is kept': async ({ store }) => {
    const given = { key: 'k', group: 'g', artifacts: [a], body: { list: [1] } }
    const putting = store.cache.putIfAbsent(given)
    given.body.list.push(2)
    given.artifacts.push(b)
    const kept = await putting
    const spoil = (entry: CacheEntry | undefined): void => {
      try {
        ;(entry?.body as { list: number[] }).list.push(3)
      } catch {
        // A frozen one is as good as a copy.
      }
    }
    spoil(kept)
    spoil(await store.cache.find('k'))

    const found = await store.cache.find('k')
    deepEqual([found?.body, found?.artifacts], [{ list: [1] }, [a]])
  },

  'every valid id serves as key and as group, and no two are one': async ({ store }) => {
    for (const [n, id] of odd.entries()) await store.cache.putIfAbsent(draft({ key: id, group: id, body: n }))

    for (const [n, id] of odd.entries()) {
      equal((await store.cache.find(id))?.body, n)
      deepEqual(await listed(store, { group: id }), [id])
    }
    deepEqual(new Set(await listed(store, {})), new Set(odd))
    for (const id of odd) equal(await store.cache.delete(id), true)
  },

  'a key or group that no store accepts is INVALID_ARGUMENT': async ({ store }) => {
    for (const id of [...wrong, undefined as never, 7 as never]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.putIfAbsent(draft({ key: id })))
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.putIfAbsent(draft({ group: id })))
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.find(id))
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.delete(id))
    }

    deepEqual(await store.cache.list({}, { limit: 10 }), { items: [] })
  },

  'a body is JSON and has a largest size': async ({ store }) => {
    for (const body of [undefined, NaN, new Date(0), { a: 1n }, [undefined], '\ud800'] as unknown[]) {
      await rejectsWith('NOT_JSON', async () => store.cache.putIfAbsent(draft({ body: body as Json })))
    }
    const largest = '€'.repeat(Math.floor((defaultLimits.bodyBytes - 2) / 3))

    await rejectsWith('LIMIT_EXCEEDED', async () => store.cache.putIfAbsent(draft({ body: `${largest}€` })))
    equal(await store.cache.find('k'), undefined)
    await store.cache.putIfAbsent(draft({ body: largest }))

    ok((await store.cache.find('k'))?.body === largest)
  },
})

const listCases = contractGroup('cache', {
  'entries of one instant stand in the order of the bytes of their keys': async ({ store }) => {
    const keys = [...odd, 'a', 'aa', 'a\uffff', 'a𝒳', 'a\ue000', 'b'].toSorted(byBytes)
    for (const key of keys) await store.cache.putIfAbsent(draft({ key }))

    deepEqual(keysOf((await store.cache.list({}, { limit: 1000 })).items), keys.toReversed())
    deepEqual(await listed(store, {}), keys.toReversed())
  },

  'entries are listed newest first, by group and by time': async ({ store, clock }) => {
    const start = clock.now()
    await fiveEntries(store, clock)
    const expected: readonly (readonly [filter: CacheFilter, keys: readonly string[]])[] = [
      [{}, ['k5', 'k4', 'k3', 'k2', 'k1']],
      [{ group: 'x' }, ['k4', 'k3', 'k1']],
      [{ group: 'z' }, []],
      [{ createdBefore: start + 2000 }, ['k2', 'k1']],
      [{ createdBefore: start + 2001, group: 'x' }, ['k3', 'k1']],
      [{ createdBefore: start }, []],
    ]

    for (const [filter, keys] of expected) {
      const { items } = await store.cache.list(filter, { limit: 100 })
      deepEqual(keysOf(items), keys, JSON.stringify(filter))
      deepEqual(await listed(store, filter), keys, `${JSON.stringify(filter)} one by one`)
      for (const item of items) deepEqual(item, await store.cache.find(item.key))
    }
  },

  'entries that come meanwhile shift no later page, and those of one instant are each listed once': async ({
    store,
    clock,
  }) => {
    for (let n = 0; n < 20; n++) {
      await store.cache.putIfAbsent(draft({ key: `k${n}` }))
      if (n % 4 === 0) clock.advance(1)
    }
    let n = 0

    const pages = await allPages(async (page) => {
      clock.advance(1)
      if (page.cursor !== undefined) await store.cache.putIfAbsent(draft({ key: `new ${n++}` }))
      return store.cache.list({ group: 'g' }, { ...page, limit: 3 })
    })

    deepEqual(keysOf(pages.flat()).toSorted(), Array.from({ length: 20 }, (_, i) => `k${i}`).toSorted())
  },

  'only the last page has no next; wrong limits, cursors and times are INVALID_ARGUMENT': async ({ store, clock }) => {
    await fiveEntries(store, clock)

    equal('next' in (await store.cache.list({}, { limit: 5 })), false)
    equal('next' in (await store.cache.list({}, { limit: 4 })), true)
    for (const limit of [0, -1, 1.5, 1001]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.list({}, { limit }))
    }
    await rejectsWith('INVALID_ARGUMENT', async () => store.cache.list({}, { limit: 5, cursor: 'no cursor' }))
    await rejectsWith('INVALID_ARGUMENT', async () => store.cache.list({ createdBefore: 0.5 }, { limit: 5 }))
    await rejectsWith('INVALID_ARGUMENT', async () => store.cache.list({ group: '' }, { limit: 5 }))
  },
})

const referenceCases = contractGroup('cache', {
  'it tells which artifacts entries refer to, in the order given': async ({ store }) => {
    await store.cache.putIfAbsent(draft({ key: 'k1', artifacts: [a, b, a] }))
    await store.cache.putIfAbsent(draft({ key: 'k2', artifacts: [b] }))

    deepEqual(await store.cache.referred([c, b, a]), [b, a])
    deepEqual(await store.cache.referred([c]), [])
    await store.cache.delete('k1')
    deepEqual(await store.cache.referred([a, b, c]), [b])
    await store.cache.delete('k2')
    deepEqual(await store.cache.referred([a, b, c]), [])
  },

  'an entry and its references come and go together': async ({ store }) => {
    for (let round = 0; round < 20; round++) {
      await atOnce(4, async (n): Promise<unknown> =>
        n % 2 === round % 2 ? store.cache.putIfAbsent(draft({ artifacts: [a, b] })) : store.cache.delete('k'),
      )

      const isThere = (await store.cache.find('k')) !== undefined
      deepEqual(await store.cache.referred([a, b]), isThere ? [a, b] : [])
    }
  },

  'an entry refers to at most 1000 artifacts, and 1-1000 may be asked for': async ({ store }) => {
    const many = sampleIds(1001)

    await rejectsWith('INVALID_ARGUMENT', async () => store.cache.putIfAbsent(draft({ artifacts: many })))
    await store.cache.putIfAbsent(draft({ artifacts: many.slice(1) }))

    deepEqual((await store.cache.find('k'))?.artifacts, many.slice(1))
    deepEqual(await store.cache.referred(many.slice(0, 1000)), many.slice(1, 1000))
    for (const asked of [[], many]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.referred(asked))
    }
  },

  'what is no id of a content is INVALID_ARGUMENT': async ({ store }) => {
    for (const id of wrongIds) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.putIfAbsent(draft({ artifacts: [a, id] })))
      await rejectsWith('INVALID_ARGUMENT', async () => store.cache.referred([a, id]))
    }

    equal(await store.cache.find('k'), undefined)
  },
})

export const cacheCases: readonly ContractCase[] = [...entryCases, ...listCases, ...referenceCases]
