import { StoreError, type ContentId } from '@varve/store'
import { createHash, randomUUID } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import type { About } from './about.ts'
import { inBatches, onDisk, succeeds, syncFolder, type Place } from './disk.ts'
import { aboutFile, artifactsFolder, bytesFile, startOf, uploadFolder, uploadsFolder, type Kept } from './layout.ts'

/** After so many bytes, a multiple of a chunk, the disk is set to work, so that little is left to be flushed in the end. */
const FLUSH_BYTES = 16 * 1024 * 1024

const HOUR_MS = 60 * 60 * 1000
/** An upload that was not marked as alive for so long belongs to a process that died. */
const DEAD_AFTER_MS = 24 * HOUR_MS

/** Bytes on their way in, in a folder of their own that becomes the artifact's. */
export class Upload {
  readonly #place: Place
  readonly #file: FileHandle
  /** Names the file with the bytes; its time is set when they are published. */
  #kept: Kept
  #startedAt: number
  #isSynced = false
  /** Whatever fails here is told only once by the system: it must not be lost. */
  #flushing: Promise<void> = Promise.resolve()

  private constructor(place: Place, file: FileHandle, kept: Kept) {
    this.#place = place
    this.#file = file
    this.#kept = kept
    this.#startedAt = kept.usedAt
  }

  /** Starts one. */
  static async start(place: Place): Promise<Upload> {
    const kept = { upload: randomUUID(), usedAt: place.now() }
    const folder = uploadFolder(place.folder, kept.upload, kept.usedAt)
    const created = (await place.disk.mkdir(folder, { recursive: true })) ?? folder
    // Folders around ours that had to be made too; ours is flushed with each artifact.
    for (let at = path.dirname(place.folder); at.length >= created.length; at = path.dirname(at)) {
      await syncFolder(place.disk, path.dirname(at))
    }
    return new Upload(place, await place.disk.open(bytesFile(folder, kept), 'wx'), kept)
  }

  get #folder(): string {
    return uploadFolder(this.#place.folder, this.#kept.upload, this.#startedAt)
  }

  /** Writes what comes: each chunk is written while it is hashed and the next one is made, into other memory. */
  async receive(chunks: AsyncIterable<Uint8Array>): Promise<{ readonly id: ContentId; readonly size: number }> {
    const hash = createHash('sha256')
    let size = 0
    let writing: Promise<void> = Promise.resolve()
    try {
      for await (const chunk of chunks) {
        await writing
        writing = this.#write(chunk, size)
        // Looked at before the next chunk; until then a failure is nobody's.
        writing.catch(() => undefined)
        hash.update(chunk)
        size += chunk.byteLength
      }
      await writing
    } finally {
      await writing.catch(() => undefined)
    }
    return { id: `sha256:${hash.digest('hex')}`, size }
  }

  async #write(chunk: Uint8Array, at: number): Promise<void> {
    return onDisk(async () => {
      for (let done = 0; done < chunk.byteLength;) {
        const { bytesWritten } = await this.#file.write(chunk, done, chunk.byteLength - done, at + done)
        done += bytesWritten
      }
      if (at > 0 && at % FLUSH_BYTES === 0) this.#flush()
      await this.#markAlive()
    })
  }

  #flush(): void {
    this.#flushing = this.#flushing.then(async () => this.#file.datasync())
    this.#flushing.catch(() => undefined)
  }

  async #markAlive(): Promise<void> {
    const now = this.#place.now()
    if (now - this.#startedAt < HOUR_MS) return
    const { disk, folder } = this.#place
    const isThere = await succeeds(['ENOENT'], disk.rename(this.#folder, uploadFolder(folder, this.#kept.upload, now)))
    if (!isThere) throw swept()
    this.#startedAt = now
  }

  /**
   * Makes this the artifact, with both files at once: a folder that holds anything is never replaced.
   *
   * @param usedAt - Of what was there before: its last use does not go back.
   * @returns false when something is there already.
   */
  async publish(target: string, usedAt: number): Promise<boolean> {
    const { disk, now } = this.#place
    const shard = path.dirname(target)
    await disk.mkdir(shard, { recursive: true })
    const kept = { ...this.#kept, usedAt: Math.max(usedAt, now()) }
    if (
      !(await succeeds(['ENOENT'], disk.rename(bytesFile(this.#folder, this.#kept), bytesFile(this.#folder, kept))))
    ) {
      throw swept()
    }
    this.#kept = kept
    await syncFolder(disk, this.#folder)
    if (!(await succeeds(['ENOTEMPTY', 'EEXIST', 'ENOTDIR'], disk.rename(this.#folder, target)))) return false
    // Not only what was made here: another process may not be done with flushing what it made.
    const { folder } = this.#place
    for (const each of [shard, artifactsFolder(folder), folder, path.dirname(folder)]) await syncFolder(disk, each)
    return true
  }

  /** Lets bytes and what is known of them, which is written once, survive a power failure: before anybody can see them. */
  async complete(about: About): Promise<void> {
    if (this.#isSynced) return
    const { disk } = this.#place
    const file = aboutFile(this.#folder, this.#kept.upload)
    const written = await succeeds(['ENOENT'], disk.writeFile(file, JSON.stringify(about), { flush: true }))
    if (!written) throw swept()
    await this.#flushing
    await this.#file.sync()
    this.#isSynced = true
  }

  /** Lets go of the file, and deletes what was not published. */
  async discard(): Promise<void> {
    await this.#flushing.catch(() => undefined)
    await this.#file.close()
    await this.#place.disk.rm(this.#folder, { recursive: true, force: true })
  }
}

function swept(): StoreError {
  const text = 'what was put came to a halt for a day and was taken for that of a dead process; put it again'
  return new StoreError('STORE_FAILED', text, { retryable: true })
}

/** Deletes what processes that died have left of their uploads. Never fails: that is no reason not to keep new bytes. */
export async function sweep({ disk, folder, now }: Place): Promise<void> {
  const uploads = uploadsFolder(folder)
  const diedBefore = now() - DEAD_AFTER_MS
  const names = (await disk.readdir(uploads).catch(() => [])) as readonly string[]
  const dead = names.filter((name) => (startOf(name) ?? Infinity) < diedBefore)
  await inBatches(dead, 16, async (name) =>
    disk.rm(path.join(uploads, name), { recursive: true, force: true }).catch(() => undefined),
  )
}
