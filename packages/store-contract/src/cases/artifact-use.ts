import { contentId, type ArtifactRow, type ArtifactStore, type ContentId } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { artifactGroup, type ArtifactCase } from '../artifact-contract.ts'
import { allPages, atOnce, rejectsWith } from '../expectations.ts'
import { collect, cut, isWhole, MIB, sampleBytes } from '../sample-bytes.ts'
import { unknown } from './artifacts.ts'

/** Rows by their ids. */
async function rowsOf(artifacts: ArtifactStore): Promise<ReadonlyMap<ContentId, ArtifactRow>> {
  const { items } = await artifacts.list({}, { limit: 1000 })
  return new Map(items.map((row) => [row.id, row]))
}

async function usedAt(artifacts: ArtifactStore, id: ContentId): Promise<number | undefined> {
  return (await rowsOf(artifacts)).get(id)?.usedAt
}

/** So many small artifacts; their ids in the order in which they were put. */
async function putMany(artifacts: ArtifactStore, count: number): Promise<ContentId[]> {
  const ids: ContentId[] = []
  for (let n = 0; n < count; n++) ids.push(await artifacts.put(Buffer.from(`artifact ${n}`)))
  return ids
}

const useCases = artifactGroup('artifact use', {
  'a row tells size, media type, when it was first put and when it was last used': async ({ artifacts, clock }) => {
    const createdAt = clock.now()
    const id = await artifacts.put(Buffer.from('hello'), { mediaType: 'text/plain' })
    clock.advance(1000)
    await artifacts.put(Buffer.from('hello'))

    const { items } = await artifacts.list({}, { limit: 10 })

    deepEqual(items, [{ id, size: 5, mediaType: 'text/plain', createdAt, usedAt: createdAt + 1000 }])
  },

  'a put is a use, of bytes and of streams; reading, finding and listing are none': async ({ artifacts, clock }) => {
    for (const bytes of [sampleBytes(10), sampleBytes(2 * MIB)]) {
      const id = await artifacts.put(bytes)
      const first = clock.now()
      clock.advance(1000)

      const artifact = await artifacts.get(id)
      await artifact.bytes()
      await collect(artifact.stream())
      await artifacts.has(id)
      equal(await usedAt(artifacts, id), first)
      await artifacts.put(cut(bytes, 100_000))
      equal(await usedAt(artifacts, id), first + 1000)
      clock.advance(1000)
      await artifacts.put(bytes)
      equal(await usedAt(artifacts, id), first + 2000)
      equal((await rowsOf(artifacts)).get(id)?.createdAt, first)
    }
  },

  'a touch marks those that are there, no others, and answers them in order': async ({ artifacts, clock }) => {
    const [a, b, c] = (await putMany(artifacts, 3)) as [ContentId, ContentId, ContentId]
    const before = clock.now()
    clock.advance(1000)

    deepEqual(await artifacts.touch([c, unknown, a]), [c, a])
    deepEqual(await artifacts.touch([unknown]), [])

    const rows = await rowsOf(artifacts)
    deepEqual(
      [a, b, c].map((id) => rows.get(id)?.usedAt),
      [before + 1000, before, before + 1000],
    )
    equal(rows.get(a)?.createdAt, before)
    equal(rows.has(unknown), false)
  },

  'a use by a clock that was set back leaves the time of the one before': async ({ artifacts, clock }) => {
    const bytes = Buffer.from('hello')
    const id = await artifacts.put(bytes)
    const before = clock.now()
    clock.advance(-1000)

    await artifacts.touch([id])
    equal(await usedAt(artifacts, id), before)
    await artifacts.put(bytes)
    equal(await usedAt(artifacts, id), before)
  },

  'a touch takes 1-1000 ids': async ({ artifacts }) => {
    const [id] = (await putMany(artifacts, 1)) as [ContentId]
    const others = Array.from({ length: 1000 }, (_, n) => contentId(`other ${n}`))

    deepEqual(await artifacts.touch([...others.slice(1), id]), [id])
    await rejectsWith('INVALID_ARGUMENT', async () => artifacts.touch([]))
    await rejectsWith('INVALID_ARGUMENT', async () => artifacts.touch([...others, id]))
  },

  'touches of the same artifacts in any order do not disturb one another': async ({ artifacts }) => {
    const ids = await putMany(artifacts, 50)

    const touched = await atOnce(20, async (n) => artifacts.touch(n % 2 === 0 ? ids : ids.toReversed()))

    for (const [n, answer] of touched.entries()) deepEqual(answer, n % 2 === 0 ? ids : ids.toReversed())
  },

  'an artifact that was not used is deleted, and nothing else is': async ({ artifacts, clock }) => {
    const [id, other] = (await putMany(artifacts, 2)) as [ContentId, ContentId]
    clock.advance(1000)

    equal(await artifacts.delete(id, { ifUnusedSince: clock.now() }), true)

    equal(await artifacts.has(id), false)
    await rejectsWith('ARTIFACT_NOT_FOUND', async () => artifacts.get(id))
    deepEqual([...(await rowsOf(artifacts)).keys()], [other])
    await isWhole(artifacts, other, Buffer.from('artifact 1'))
    equal(await artifacts.delete(id, { ifUnusedSince: clock.now() }), false)
  },

  'an artifact used at the given time or after it is not deleted': async ({ artifacts, clock }) => {
    const [id] = (await putMany(artifacts, 1)) as [ContentId]
    const created = clock.now()

    for (const ifUnusedSince of [created, created - 1, 0, -1]) {
      equal(await artifacts.delete(id, { ifUnusedSince }), false)
    }
    clock.advance(5000)
    await artifacts.touch([id])
    equal(await artifacts.delete(id, { ifUnusedSince: created + 5000 }), false)
    await isWhole(artifacts, id, Buffer.from('artifact 0'))
    equal(await artifacts.delete(id, { ifUnusedSince: created + 5001 }), true)
  },

  'what was never there is not deleted, and no time is INVALID_ARGUMENT': async ({ artifacts }) => {
    const [id] = (await putMany(artifacts, 1)) as [ContentId]

    equal(await artifacts.delete(unknown, { ifUnusedSince: Number.MAX_SAFE_INTEGER }), false)
    for (const ifUnusedSince of [NaN, 1.5, Infinity, undefined as never, 'now' as never]) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.delete(id, { ifUnusedSince }))
    }

    equal(await artifacts.has(id), true)
  },

  'what was deleted can be put again, as new': async ({ artifacts, clock }) => {
    for (const bytes of [sampleBytes(100), sampleBytes(2 * MIB)]) {
      const id = await artifacts.put(bytes, { mediaType: 'text/plain' })
      await artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      clock.advance(1000)

      await artifacts.put(bytes)

      await isWhole(artifacts, id, bytes)
      const row = (await rowsOf(artifacts)).get(id)
      deepEqual([row?.createdAt, row?.mediaType], [clock.now(), 'application/octet-stream'])
    }
  },

  'a put and a delete at once: what was put is there, whole': async ({ artifacts, clock }) => {
    for (const [size, rounds] of [
      [1000, 25],
      [MIB + 1, 5],
    ] as const) {
      const bytes = sampleBytes(size)
      for (let round = 0; round < rounds; round++) {
        const id = await artifacts.put(bytes)
        clock.advance(1000)
        const ifUnusedSince = clock.now()

        await atOnce(6, async (n) =>
          n % 2 === round % 2 ? artifacts.put(bytes) : artifacts.delete(id, { ifUnusedSince }),
        )

        await isWhole(artifacts, id, bytes)
      }
    }
  },

  'a touch and a delete at once: what was touched is there, and the rest is told': async ({ artifacts, clock }) => {
    const bytes = sampleBytes(100)
    for (let round = 0; round < 25; round++) {
      const id = await artifacts.put(bytes)
      clock.advance(1000)
      const deleting = async (): Promise<boolean> => artifacts.delete(id, { ifUnusedSince: clock.now() })
      const touching = async (): Promise<boolean> => (await artifacts.touch([id])).length === 1

      const calls = round % 2 === 0 ? [deleting(), touching()] : [touching(), deleting()]
      const [first, second] = await Promise.all(calls)

      ok(first !== second, 'it was both touched and deleted, or neither')
      equal(await artifacts.has(id), round % 2 === 0 ? second : first)
    }
  },
})

const listCases = artifactGroup('artifact use', {
  'artifacts are listed by id, each once, on pages of any size': async ({ artifacts }) => {
    const ids = (await putMany(artifacts, 12)).toSorted()

    for (const limit of [1, 5, 12, 1000]) {
      const pages = await allPages(async (request) => artifacts.list({}, { ...request, limit }))

      deepEqual(
        pages.flat().map(({ id }) => id),
        ids,
      )
      equal(pages.length, Math.ceil(12 / limit))
    }
    equal('next' in (await artifacts.list({}, { limit: 12 })), false)
  },

  'artifacts that come and go meanwhile shift no later page': async ({ artifacts }) => {
    const ids = await putMany(artifacts, 30)
    let n = 0

    const pages = await allPages(async (request) => {
      const page = await artifacts.list({}, { ...request, limit: 4 })
      for (const { id } of page.items.slice(0, 2)) {
        await artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      }
      await artifacts.put(Buffer.from(`new ${n++}`))
      return page
    })

    const listed = pages.flat().map(({ id }) => id)
    equal(new Set(listed).size, listed.length)
    for (const id of ids) ok(listed.includes(id), 'an artifact that was there all the time is missing')
  },

  'unusedSince lists those that were not used at that time or after it': async ({ artifacts, clock }) => {
    const start = clock.now()
    const ids: ContentId[] = []
    for (let n = 0; n < 4; n++) {
      ids.push(await artifacts.put(Buffer.from(`artifact ${n}`)))
      clock.advance(1000)
    }
    await artifacts.touch(ids.slice(0, 1))
    const unused = async (unusedSince: number): Promise<readonly ContentId[]> =>
      (await allPages(async (page) => artifacts.list({ unusedSince }, { ...page, limit: 1 })))
        .flat()
        .map(({ id }) => id)

    deepEqual(await unused(start + 1000), [])
    deepEqual(await unused(start + 1001), ids.slice(1, 2))
    deepEqual(await unused(start + 4000), ids.slice(1).toSorted())
    deepEqual(await unused(start + 4001), ids.toSorted())
  },

  'a limit outside 1-1000, a cursor of no page and no time are INVALID_ARGUMENT': async ({ artifacts }) => {
    await putMany(artifacts, 2)

    for (const limit of [0, -1, 1.5, 1001]) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.list({}, { limit }))
    }
    await rejectsWith('INVALID_ARGUMENT', async () => artifacts.list({}, { limit: 10, cursor: 'no cursor' }))
    for (const unusedSince of [NaN, 0.5]) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.list({ unusedSince }, { limit: 10 }))
    }
    equal((await artifacts.list({}, { limit: 1000 })).items.length, 2)
  },
})

export const artifactUseCases: readonly ArtifactCase[] = [...useCases, ...listCases]
