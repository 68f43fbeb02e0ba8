import { createHash } from 'node:crypto'
import type { ContentId } from '../content-id.ts'
import { StoreError } from '../errors.ts'
import type { ArtifactRow, StoredArtifact } from '../ports/artifact-store.ts'

/** Bytes of a chunk in which artifacts are kept and given out. */
export const ARTIFACT_CHUNK_BYTES = 1024 * 1024

/**
 * What is to be kept, in chunks of {@link ARTIFACT_CHUNK_BYTES}: the last one may be shorter, and of no bytes at all there is
 * one empty chunk. Each is a copy, so a producer may use its buffer again; and its memory is used again for the chunk after the
 * next, so that a stream of any length leaves no garbage: what is to stay longer has to be copied.
 *
 * @throws StoreError `INVALID_ARGUMENT` for what are no bytes; what the producer throws is thrown on.
 */
export async function* inChunks(content: unknown): AsyncGenerator<Uint8Array, void> {
  if (content instanceof Uint8Array) yield* slicesOf(content)
  else yield* filledChunks(partsOf(content))
}

/** No more memory than there are bytes: most artifacts are small. */
function* slicesOf(content: Uint8Array): Generator<Uint8Array, void> {
  for (let at = 0; at === 0 || at < content.byteLength; at += ARTIFACT_CHUNK_BYTES) {
    yield Uint8Array.prototype.slice.call(content, at, at + ARTIFACT_CHUNK_BYTES)
  }
}

async function* filledChunks(parts: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void> {
  let [chunk, other] = [new Uint8Array(ARTIFACT_CHUNK_BYTES), new Uint8Array()]
  let filled = 0
  for await (const part of parts) {
    if (!(part instanceof Uint8Array)) throw noBytes('a stream must yield Uint8Arrays', part)
    for (let at = 0; at < part.byteLength;) {
      // A full chunk is given out only when there is more: so the last one is never empty by accident.
      if (filled === chunk.byteLength) {
        yield chunk
        if (other.byteLength === 0) other = new Uint8Array(ARTIFACT_CHUNK_BYTES)
        ;[chunk, other, filled] = [other, chunk, 0]
      }
      const taken = part.subarray(at, at + chunk.byteLength - filled)
      chunk.set(taken, filled)
      filled += taken.byteLength
      at += taken.byteLength
    }
  }
  yield chunk.subarray(0, filled)
}

function partsOf(content: unknown): AsyncIterable<unknown> {
  if (typeof content === 'object' && content !== null && Symbol.asyncIterator in content) {
    return content as AsyncIterable<unknown>
  }
  throw noBytes('an artifact must be a Uint8Array or an AsyncIterable of them', content)
}

function noBytes(expected: string, content: unknown): StoreError {
  const got = content === null ? 'null' : Array.isArray(content) ? 'an array' : typeof content
  return new StoreError('INVALID_ARGUMENT', `${expected}, got ${got}`)
}

/** All of what is to be kept, copied. @throws StoreError as {@link inChunks}. */
export async function collectContent(content: unknown): Promise<Uint8Array> {
  return collectChunks(copied(inChunks(content)))
}

async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield chunk.slice()
}

/** One piece of memory that holds all chunks. */
async function collectChunks(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    parts.push(chunk)
    size += chunk.byteLength
  }
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

/**
 * An artifact as it is given out: whatever is read of it is checked against its hash.
 *
 * @param read - Reads the kept chunks from the first to the last, as copies; called for each reading.
 */
export function storedArtifact(
  { id, size, mediaType }: Pick<ArtifactRow, 'id' | 'size' | 'mediaType'>,
  read: () => AsyncIterable<Uint8Array>,
): StoredArtifact {
  const chunks: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => verified(id, read()) }
  return { id, size, mediaType, bytes: async () => collectChunks(chunks), stream: () => chunks }
}

/** Always a chunk behind: the last one follows when the whole has had its hash. */
async function* verified(id: ContentId, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const hash = createHash('sha256')
  let last: Uint8Array | undefined
  for await (const chunk of chunks) {
    hash.update(chunk)
    if (last !== undefined) yield last
    last = chunk
  }
  if (`sha256:${hash.digest('hex')}` !== id) throw artifactCorrupt(id)
  if (last !== undefined && last.byteLength > 0) yield last
}

/** The error for an artifact that is not there. */
export function artifactNotFound(id: ContentId): StoreError {
  const text = `there is no artifact ${id}; it was never put, or has been collected`
  return new StoreError('ARTIFACT_NOT_FOUND', text, { artifact: id })
}

/** The error for kept bytes that are not those of their name. */
export function artifactCorrupt(id: ContentId): StoreError {
  const text = `what is kept as ${id} has another hash; restore it from a backup, or put it again`
  return new StoreError('ARTIFACT_CORRUPT', text, { artifact: id })
}
