import { contentId, type StoreError } from '@varve/store'
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { artifactGroup, type ArtifactCase } from '../artifact-contract.ts'
import { atOnce, refusalOf, rejectsWith } from '../expectations.ts'
import { collect, cut, isWhole, MIB, sameBytes, sampleBytes } from '../sample-bytes.ts'
import { wrongIds } from '../sample-ids.ts'

/** Sizes around everything that a store may cut at. */
const sizes: readonly number[] = [0, 1, 65_536, MIB - 1, MIB, MIB + 1, 3 * MIB]

/** The id of a content that nobody has put. */
export const unknown = contentId('nobody has put this')

async function* failing(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield* cut(bytes, 100_000)
  throw error
}

async function* yielding(...chunks: unknown[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk as Uint8Array
}

const contentCases = artifactGroup('artifacts', {
  'bytes come back as they were put, under the hash of their content': async ({ artifacts }) => {
    for (const size of sizes) {
      const bytes = sampleBytes(size, size)

      const id = await artifacts.put(bytes)

      equal(id, contentId(bytes))
      await isWhole(artifacts, id, bytes)
    }
  },

  'a stream is kept like its bytes, however it is cut': async ({ artifacts }) => {
    for (const size of sizes) {
      for (const cuts of [[65_537], [MIB], [MIB - 1, 2], [3 * MIB], [7, 500_000, MIB + 1]]) {
        const bytes = sampleBytes(size, size + (cuts[0] ?? 0))

        const id = await artifacts.put(cut(bytes, ...cuts))

        equal(id, contentId(bytes))
        await isWhole(artifacts, id, bytes)
      }
    }
  },

  'chunks of one byte and chunks of none are fine': async ({ artifacts }) => {
    const bytes = sampleBytes(1000)

    equal(await artifacts.put(cut(bytes, 1)), contentId(bytes))
    const none = new Uint8Array()
    equal(await artifacts.put(yielding(none, bytes.subarray(0, 10), none, bytes.subarray(10), none)), contentId(bytes))
    for (const nothing of [yielding(), yielding(none, none)]) equal(await artifacts.put(nothing), contentId(''))

    await isWhole(artifacts, contentId(bytes), bytes)
    await isWhole(artifacts, contentId(''), none)
  },

  'a stream may use its buffer again': async ({ artifacts }) => {
    const bytes = sampleBytes(2 * MIB + 12_345)
    const buffer = new Uint8Array(70_001)
    async function* reusing(): AsyncGenerator<Uint8Array> {
      for await (const chunk of cut(bytes, buffer.byteLength)) {
        buffer.set(chunk)
        yield buffer.subarray(0, chunk.byteLength)
        buffer.fill(0)
      }
    }

    await isWhole(artifacts, await artifacts.put(reusing()), bytes)
  },

  'streams of Node and of the web are streams': async ({ artifacts }) => {
    const bytes = sampleBytes(MIB + 1)

    for (const stream of [Readable.from(cut(bytes, 9999)), Readable.toWeb(Readable.from(cut(bytes, 9999)))]) {
      equal(await artifacts.put(stream as AsyncIterable<Uint8Array>), contentId(bytes))
    }
  },

  'a part of a larger buffer is put without the rest of it': async ({ artifacts }) => {
    const bytes = sampleBytes(2 * MIB)
    const part = bytes.subarray(10, MIB + 20)

    await isWhole(artifacts, await artifacts.put(part), part)
    await isWhole(artifacts, await artifacts.put(Buffer.from(bytes.buffer, 3, 7)), bytes.subarray(3, 10))
  },

  'nobody who holds the bytes can change what is kept': async ({ artifacts }) => {
    for (const size of [1000, 2 * MIB]) {
      const bytes = sampleBytes(size)
      const given = Buffer.from(bytes)
      const id = await artifacts.put(given)
      given.fill(7)

      const artifact = await artifacts.get(id)
      const got = await artifact.bytes()
      got.fill(8)
      for await (const chunk of artifact.stream()) chunk.fill(9)

      await isWhole(artifacts, id, bytes)
    }
  },

  'what is no bytes is INVALID_ARGUMENT and keeps nothing': async ({ artifacts }) => {
    const wrong: unknown[] = ['text', null, undefined, 7, {}, [1], new ArrayBuffer(1), [Uint8Array.of(1)]]
    for (const content of wrong) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.put(content as Uint8Array))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.put(yielding(content)))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.put(yielding(sampleBytes(2 * MIB), content)))
    }

    deepEqual(await artifacts.list({}, { limit: 10 }), { items: [] })
  },
})

const streamCases = artifactGroup('artifacts', {
  'a stream that throws leaves nothing, and its error is thrown on': async ({ artifacts }) => {
    for (const size of [0, 10, MIB, 2 * MIB + 500_000]) {
      const bytes = sampleBytes(size)
      const error = new Error('the producer is broken')

      await rejects(artifacts.put(failing(bytes, error)), (thrown) => thrown === error)

      equal(await artifacts.has(contentId(bytes)), false)
      deepEqual(await artifacts.list({}, { limit: 10 }), { items: [] })
      await artifacts.put(bytes)
      equal(await artifacts.delete(contentId(bytes), { ifUnusedSince: Number.MAX_SAFE_INTEGER }), true)
    }
  },

  'a stream is listened to from the call on, so that its failure ends no process': async ({ artifacts }) => {
    const stream = new Readable({ read: () => undefined })
    const error = new Error('there is no such file')

    const putting = artifacts.put(stream)
    ok(stream.listenerCount('error') > 0, 'nobody would hear the stream fail')
    stream.destroy(error)

    await rejects(putting, (thrown) => thrown === error)
  },

  'a producer is told when no more is wanted of it': async ({ artifacts }) => {
    let isTold = false
    async function* producing(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield 'text' as never
      } finally {
        isTold = true
      }
    }

    await rejectsWith('INVALID_ARGUMENT', async () => artifacts.put(producing()))

    equal(isTold, true)
  },

  'an artifact appears with its last byte': async ({ artifacts }) => {
    const bytes = sampleBytes(2 * MIB + 1)
    const seen: unknown[] = []
    async function* looking(): AsyncGenerator<Uint8Array> {
      for await (const chunk of cut(bytes, 600_000)) {
        yield chunk
        seen.push(await artifacts.list({}, { limit: 10 }), await artifacts.has(contentId(bytes)))
      }
    }

    const id = await artifacts.put(looking())

    deepEqual(new Set(seen.map((each) => JSON.stringify(each))), new Set(['{"items":[]}', 'false']))
    await isWhole(artifacts, id, bytes)
  },

  'of 32 puts of one content at once all get its name, and it is kept once': async ({ artifacts }) => {
    for (const size of [0, 1000, 2 * MIB]) {
      const bytes = sampleBytes(size)

      const ids = await atOnce(32, async (n) => artifacts.put(n % 2 === 0 ? bytes : cut(bytes, 333_333 + n)))

      deepEqual(new Set(ids), new Set([contentId(bytes)]))
      await isWhole(artifacts, contentId(bytes), bytes)
      equal(await artifacts.delete(contentId(bytes), { ifUnusedSince: Number.MAX_SAFE_INTEGER }), true)
      equal(await artifacts.has(contentId(bytes)), false)
    }
  },

  'puts of different contents at once do not disturb one another': async ({ artifacts }) => {
    const contents = Array.from({ length: 24 }, (_, n) => sampleBytes(n % 4 === 0 ? MIB + n : 100 + n, n + 1))

    const ids = await atOnce(24, async (n) => artifacts.put(cut(contents[n] ?? new Uint8Array(), 400_000)))

    for (const [n, id] of ids.entries()) await isWhole(artifacts, id, contents[n] ?? new Uint8Array())
    equal((await artifacts.list({}, { limit: 100 })).items.length, 24)
  },

  'the first media type stays, and it is 1-200 characters': async ({ artifacts }) => {
    const bytes = sampleBytes(10)
    const mediaTypeOf = async (content: string): Promise<string> =>
      (await artifacts.get(await artifacts.put(Buffer.from(content)))).mediaType

    const id = await artifacts.put(bytes, { mediaType: 'text/csv; charset=utf-8' })
    await artifacts.put(bytes, { mediaType: 'image/png' })
    await artifacts.put(cut(bytes, 3))

    equal((await artifacts.get(id)).mediaType, 'text/csv; charset=utf-8')
    equal(await mediaTypeOf('no type'), 'application/octet-stream')
    await artifacts.put(Buffer.from('long type'), { mediaType: 'x'.repeat(200) })
    equal(await mediaTypeOf('long type'), 'x'.repeat(200))
    for (const mediaType of ['', 'x'.repeat(201), 'a\nb']) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.put(Buffer.from(mediaType), { mediaType }))
      equal(await artifacts.has(contentId(mediaType)), false)
    }
  },
})

const optionCases = artifactGroup('artifacts', {
  'options, a filter and a page are objects, or the call is INVALID_ARGUMENT': async ({ artifacts }) => {
    const bytes = sampleBytes(10)
    const id = await artifacts.put(bytes)

    for (const wrong of [null, 'text', 7, []] as unknown as {
      readonly ifUnusedSince: number
      readonly limit: number
    }[]) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.put(sampleBytes(20), wrong as object))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.touch([id], wrong as object))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.delete(id, wrong))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.list(wrong as object, { limit: 10 }))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.list({}, wrong))
    }
    await rejectsWith('INVALID_ARGUMENT', async () => artifacts.delete(id, undefined as never))
    await rejectsWith('INVALID_ARGUMENT', async () => artifacts.list(undefined as never, undefined as never))

    deepEqual(
      (await artifacts.list({}, { limit: 10 })).items.map((row) => row.id),
      [id],
    )
  },
})

const readingCases = artifactGroup('artifacts', {
  'what is not there is ARTIFACT_NOT_FOUND, and what is no id INVALID_ARGUMENT': async ({ artifacts }) => {
    await artifacts.put(sampleBytes(10))

    await rejectsWith('ARTIFACT_NOT_FOUND', async () => artifacts.get(unknown))
    equal(await artifacts.has(unknown), false)
    for (const id of wrongIds) {
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.get(id))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.has(id))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.touch([unknown, id]))
      await rejectsWith('INVALID_ARGUMENT', async () => artifacts.delete(id, { ifUnusedSince: 0 }))
    }
  },

  'an artifact may be read many times, also at once, and by readers that stop': async ({ artifacts }) => {
    const bytes = sampleBytes(2 * MIB + 1)
    const artifact = await artifacts.get(await artifacts.put(bytes))
    const stream = artifact.stream()
    for await (const chunk of stream) {
      sameBytes(chunk, bytes.subarray(0, chunk.byteLength))
      break
    }

    for (const chunks of await atOnce(4, async () => collect(stream))) sameBytes(Buffer.concat(chunks), bytes)
    await isWhole(artifacts, artifact.id, bytes)
  },

  'an artifact that was deleted meanwhile is ARTIFACT_NOT_FOUND': async ({ artifacts }) => {
    for (const size of [0, 10, 3 * MIB]) {
      const artifact = await artifacts.get(await artifacts.put(sampleBytes(size)))
      await artifacts.delete(artifact.id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })

      await rejectsWith('ARTIFACT_NOT_FOUND', async () => artifact.bytes())
      await rejectsWith('ARTIFACT_NOT_FOUND', async () => collect(artifact.stream()))
    }
  },

  'a reader whose artifact is deleted comes to its end or is told': async ({ artifacts }) => {
    const bytes = sampleBytes(4 * MIB)
    const artifact = await artifacts.get(await artifacts.put(bytes))
    const chunks: Uint8Array[] = []
    const refusal = await refusalOf(async () => {
      for await (const chunk of artifact.stream()) {
        if (chunks.push(chunk) > 1) continue
        await artifacts.delete(contentId(bytes), { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      }
    })

    if (refusal === undefined) sameBytes(Buffer.concat(chunks), bytes)
    else equal(refusal, 'ARTIFACT_NOT_FOUND')
    equal(await artifacts.has(contentId(bytes)), false)
  },

  'the harness of a durable store can corrupt what is kept': async ({ harness }) => {
    ok(!harness.durable || harness.corrupt !== undefined, 'the harness cannot corrupt')
  },

  'bytes that do not have their hash are ARTIFACT_CORRUPT, and never given out whole': async ({
    artifacts,
    harness,
  }) => {
    for (const size of [1, 1000, 3 * MIB]) {
      const bytes = sampleBytes(size)
      const id = await artifacts.put(bytes)
      if (harness.corrupt === undefined) return
      await harness.corrupt(id)

      const artifact = await artifacts.get(id)
      await rejectsWith('ARTIFACT_CORRUPT', async () => artifact.bytes())
      for (const reading of [async () => artifact.bytes(), async () => collect(artifact.stream())]) {
        await rejects(reading, ({ where }: StoreError) => where.artifact === id)
      }
      let given = 0
      await rejectsWith('ARTIFACT_CORRUPT', async () => {
        for await (const chunk of artifact.stream()) given += chunk.byteLength
      })

      ok(given < size, 'the last chunk was given out')
      equal(await artifacts.has(id), true)
    }
  },

  'a put of what is kept corrupt takes its place, with the media type that it had': async ({ artifacts, harness }) => {
    if (harness.corrupt === undefined) return
    for (const size of [1, 1000, 2 * MIB]) {
      const bytes = sampleBytes(size)
      const id = await artifacts.put(bytes, { mediaType: 'text/csv' })

      for (const content of [() => bytes, () => cut(bytes, 99_999)]) {
        await harness.corrupt(id)

        equal(await artifacts.put(content(), { mediaType: 'text/plain' }), id)

        await isWhole(artifacts, id, bytes)
        equal((await artifacts.get(id)).mediaType, 'text/csv')
      }
      equal(await artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER }), true)
      equal(await artifacts.has(id), false)
    }
  },

  'whoever has put what was kept corrupt finds it whole from then on, whoever else puts it': async ({
    artifacts,
    harness,
  }) => {
    if (harness.corrupt === undefined) return
    for (const size of [1000, 2 * MIB]) {
      const bytes = sampleBytes(size)
      const id = await artifacts.put(bytes)
      await harness.corrupt(id)

      let putting = 8
      await atOnce(putting, async (n) => {
        await artifacts.put(n % 2 === 0 ? bytes : cut(bytes, 333_333 + n)).finally(() => putting--)
        do {
          await isWhole(artifacts, id, bytes)
          await turn()
        } while (putting > 0)
      })

      equal((await artifacts.list({}, { limit: 100 })).items.filter((row) => row.id === id).length, 1)
    }
  },

  'a store that is opened again, and one beside it, have what was put': async ({ artifacts, harness }) => {
    if (!harness.durable && !harness.shared) return
    const bytes = sampleBytes(MIB + 1)
    const id = await artifacts.put(bytes, { mediaType: 'text/plain' })

    const other = await harness.open()

    await isWhole(other, id, bytes)
    equal((await other.get(id)).mediaType, 'text/plain')
    deepEqual(await other.list({}, { limit: 10 }), await artifacts.list({}, { limit: 10 }))
    if (!harness.shared) return
    const later = await other.put(sampleBytes(10))
    equal(await artifacts.has(later), true)
    equal(await other.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER }), true)
    equal(await artifacts.has(id), false)
  },
})

export const artifactContentCases: readonly ArtifactCase[] = [
  ...contentCases,
  ...streamCases,
  ...optionCases,
  ...readingCases,
]
