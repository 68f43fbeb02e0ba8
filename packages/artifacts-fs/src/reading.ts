import { artifactNotFound, type ContentId } from '@varve/store'
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { onDisk, retried, unless, type Place } from './disk.ts'
import { artifactFolder, bytesFile, type Kept } from './layout.ts'
import { lookAt } from './kept.ts'

/**
 * Chunks belong to their reader, so each is new memory: what piles up before Node collects it is 28 MiB of these, and some 50 to 70 of
 * chunks of 512 KiB, which take no less time.
 */
const CHUNK_BYTES = 128 * 1024

/** The kept bytes of an artifact, in chunks that belong to the reader. What is deleted meanwhile is read to its end. */
export async function* chunksOf(place: Place, id: ContentId): AsyncGenerator<Uint8Array, void> {
  const file = await onDisk(async () => openBytes(place, id))
  if (file === null) throw artifactNotFound(id)
  try {
    yield* chunksIn(file)
  } finally {
    await file.close()
  }
}

/** Whether these bytes have this size and the hash that names them. Undefined when they are gone from there. */
export async function isWhole(place: Place, id: ContentId, kept: Kept, size: number): Promise<boolean | undefined> {
  const file = await openKept(place, id, kept)
  if (file === undefined) return undefined
  try {
    const stats = await file.stat()
    if (!stats.isFile() || stats.size !== size) return false
    const hash = createHash('sha256')
    for await (const chunk of chunksIn(file)) hash.update(chunk)
    return `sha256:${hash.digest('hex')}` === id
  } finally {
    await file.close()
  }
}

async function openBytes(place: Place, id: ContentId): Promise<FileHandle | null> {
  return retried(async () => {
    const { kept } = await lookAt(place.disk, artifactFolder(place.folder, id))
    return kept === undefined ? null : openKept(place, id, kept)
  })
}

async function openKept({ disk, folder }: Place, id: ContentId, kept: Kept): Promise<FileHandle | undefined> {
  return unless(['ENOENT'], disk.open(bytesFile(artifactFolder(folder, id), kept), 'r'))
}

/** Reads a chunk ahead, so that disk and reader work at the same time. */
async function* chunksIn(file: FileHandle): AsyncGenerator<Uint8Array, void> {
  const { size } = await onDisk(async () => file.stat())
  const read = async (at: number): Promise<Uint8Array> => onDisk(async () => readChunk(file, at, size))
  let next = read(0)
  try {
    for (let at = 0; at < size;) {
      const chunk = await next
      // Cut short behind our back: what there is has the wrong hash.
      if (chunk.byteLength === 0) return
      at += chunk.byteLength
      next = read(at)
      // Looked at in the next round; until then a failure is nobody's.
      next.catch(() => undefined)
      yield chunk
    }
  } finally {
    await next.catch(() => undefined)
  }
}

async function readChunk(file: FileHandle, at: number, size: number): Promise<Uint8Array> {
  const chunk = new Uint8Array(Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, size - at)).buffer)
  for (let filled = 0; filled < chunk.byteLength;) {
    const { bytesRead } = await file.read(chunk, filled, chunk.byteLength - filled, at + filled)
    if (bytesRead === 0) return chunk.slice(0, filled)
    filled += bytesRead
  }
  return chunk
}
