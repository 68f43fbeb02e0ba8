import { StoreError } from '@varve/store'

const PIECE_BYTES = 1024 * 1024
/** What is smaller is gathered; what is not costs more to copy than a write of its own. */
const LARGE_BYTES = PIECE_BYTES / 2

/**
 * What is to be kept, in pieces of at most 1 MiB that are worth a write. Each is good until the next is asked for: none is
 * copied but small chunks, into memory that is used again. So no stream, however long, leaves anything to be collected.
 *
 * @throws StoreError `INVALID_ARGUMENT` for what are no bytes; what the producer throws is thrown on.
 */
export async function* piecesOf(content: unknown): AsyncGenerator<Uint8Array, void> {
  if (content instanceof Uint8Array) yield* cut(content)
  else yield* gathered(chunksOf(content))
}

function* cut(bytes: Uint8Array): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}

async function* gathered(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void> {
  let memory: Uint8Array | undefined
  let filled = 0
  for await (const chunk of chunks) {
    if (!(chunk instanceof Uint8Array)) throw noBytes('a stream must yield Uint8Arrays', chunk)
    if (memory !== undefined && filled > 0 && filled + chunk.byteLength > PIECE_BYTES) {
      yield memory.subarray(0, filled)
      filled = 0
    }
    if (chunk.byteLength >= LARGE_BYTES && filled === 0) yield* cut(chunk)
    else {
      memory ??= new Uint8Array(PIECE_BYTES)
      memory.set(chunk, filled)
      filled += chunk.byteLength
    }
  }
  if (memory !== undefined && filled > 0) yield memory.subarray(0, filled)
}

function chunksOf(content: unknown): AsyncIterable<unknown> {
  if (typeof content === 'object' && content !== null && Symbol.asyncIterator in content) {
    return content as AsyncIterable<unknown>
  }
  throw noBytes('an artifact must be a Uint8Array or an AsyncIterable of them', content)
}

function noBytes(expected: string, content: unknown): StoreError {
  const got = content === null ? 'null' : Array.isArray(content) ? 'an array' : typeof content
  return new StoreError('INVALID_ARGUMENT', `${expected}, got ${got}`)
}
