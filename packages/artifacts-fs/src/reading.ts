import { artifactNotFound, type ContentId } from '@varve/store'
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { onDisk, retried, unless, type Place } from './disk.ts'
import { artifactFolder, bytesFile } from './layout.ts'
import { lookAt } from './kept.ts'

/**
 * Chunks belong to their reader. Smaller ones cost more calls than they are worth, larger ones more memory before Node collects
 * them: 47 to 57 MiB pile up of these.
 */
const CHUNK_BYTES = 512 * 1024

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

/** Whether the kept bytes have this size and the hash that names them; null when there are none. */
export async function isWhole(place: Place, id: ContentId, size: number): Promise<boolean | null> {
  const file = await openBytes(place, id)
  if (file === null) return null
  try {
    if ((await file.stat()).size !== size) return false
    const hash = createHash('sha256')
    for await (const chunk of chunksIn(file)) hash.update(chunk)
    return `sha256:${hash.digest('hex')}` === id
  } finally {
    await file.close()
  }
}

async function openBytes({ disk, folder: root }: Place, id: ContentId): Promise<FileHandle | null> {
  const folder = artifactFolder(root, id)
  return retried(async () => {
    const { kept } = await lookAt(disk, folder)
    return kept === undefined ? null : unless(['ENOENT'], disk.open(bytesFile(folder, kept), 'r'))
  })
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
