import { contentId, isStoreError } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ARTIFACT_CHUNK_BYTES, collectContent, inChunks, storedArtifact } from './artifact-bytes.ts'

async function* yielding(parts: readonly unknown[]): AsyncGenerator {
  for (const part of parts) yield part
}

async function collected(stream: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk.slice())
  return chunks
}

describe('content in chunks', () => {
  test('is all of it in order, in full chunks but for the last, however it was cut', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 2.5 * ARTIFACT_CHUNK_BYTES }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(sizes, async (cuts) => {
        const parts = cuts.map((size, n) => new Uint8Array(size).fill(n + 1))
        const whole = Buffer.concat(parts)

        const chunks = await collected(inChunks(yielding(parts)))

        const full = Math.max(1, Math.ceil(whole.byteLength / ARTIFACT_CHUNK_BYTES))
        expect(chunks).toHaveLength(full)
        for (const chunk of chunks.slice(0, -1)) expect(chunk.byteLength).toBe(ARTIFACT_CHUNK_BYTES)
        expect(Buffer.compare(Buffer.concat(chunks), whole)).toBe(0)
      }),
      { numRuns: 30 },
    )
  })

  test('is copied when it is collected: later changes of the producer change nothing', async () => {
    const given = new Uint8Array(10).fill(1)
    const bytes = await collectContent(given)
    given.fill(2)

    expect([...bytes]).toEqual(new Array(10).fill(1))
  })

  test.for(['text', null, undefined, [Uint8Array.of(1)], { length: 1 }])(
    'is nothing but bytes: %s',
    async (content) => {
      for (const wrong of [content, yielding([content])]) {
        await expect(collectContent(wrong)).rejects.toSatisfy((error) => isStoreError(error, 'INVALID_ARGUMENT'))
      }
    },
  )
})

test('of an artifact whose bytes have another hash everything is given out but the last chunk', async () => {
  const bytes = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]
  const row = { id: contentId(Uint8Array.of(1, 2, 4)), size: 3, mediaType: 'text/plain' }
  const artifact = storedArtifact(row, () => yielding(bytes) as AsyncIterable<Uint8Array>)
  const given: number[] = []

  const reading = (async () => {
    for await (const [byte] of artifact.stream()) given.push(byte ?? -1)
  })()

  await expect(reading).rejects.toSatisfy((error) => isStoreError(error, 'ARTIFACT_CORRUPT'))
  expect(given).toEqual([1, 2])
})
