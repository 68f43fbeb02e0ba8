import type { ArtifactStore, ContentId } from '@varve/store'
import { equal, ok } from 'node:assert/strict'

/** A mebibyte: no chunk that is given out is larger. */
export const MIB = 1024 * 1024

/** Bytes without a pattern that a chunk could repeat: whatever is lost, doubled or swapped shows. */
export function sampleBytes(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  let state = (seed * 2_654_435_761) | 1
  for (let i = 0; i < size; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

/** The bytes as a stream whose chunks have these sizes, over and over. */
export async function* cut(bytes: Uint8Array, ...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.byteLength; i++) {
    const size = sizes[i % sizes.length] ?? bytes.byteLength
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** What a stream yields. */
export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

/** Fails unless both are the same; tells sizes instead of megabytes. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what = 'the bytes'): void {
  ok(actual instanceof Uint8Array)
  ok(Buffer.compare(actual, expected) === 0, `${what}: got ${actual.byteLength} other bytes of ${expected.byteLength}`)
}

/** Fails unless the artifact is there and is these bytes, read as a whole and in chunks. */
export async function isWhole(artifacts: ArtifactStore, id: ContentId, expected: Uint8Array): Promise<void> {
  const artifact = await artifacts.get(id)
  equal(artifact.id, id)
  equal(artifact.size, expected.byteLength)
  sameBytes(await artifact.bytes(), expected)
  const chunks = await collect(artifact.stream())
  ok(
    chunks.every(({ byteLength }) => byteLength > 0 && byteLength <= MIB),
    'chunks have 1 byte to 1 MiB',
  )
  sameBytes(Buffer.concat(chunks), expected, 'the stream')
}
