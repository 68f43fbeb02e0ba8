import { fileArtifacts } from '@varve/artifacts-fs'
import type { ArtifactStore, ContentId } from '@varve/store'
import { spawnSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Amounts, Figures, Prepared } from '../rounds/program.ts'

const MIB = 1024 * 1024

/** One large artifact in a folder, next to hashing and copying its file. */
export const artifacts = {
  title: 'Artifacts',
  prepare: async ({ artifact: mebibytes }: Pick<Amounts, 'artifact'>): Promise<Prepared> => {
    // On the disk of the current folder: a temporary folder may lie in memory, where a flush costs nothing.
    const parent = path.resolve('.varve')
    mkdirSync(parent, { recursive: true })
    const folder = mkdtempSync(path.join(parent, 'bench-'))
    const file = path.join(folder, 'source')
    await writeRandom(file, mebibytes)
    const store = fileArtifacts({ folder: path.join(folder, 'artifacts') })
    const measure = (work: (file: string) => Promise<number>) => async (): Promise<Figures> => {
      flushDisk()
      return { 'MiB/s': (mebibytes / (await work(file))) * 1000 }
    }
    return {
      programs: [
        { name: 'varve, in', measure: measure((source) => streamIn(store, source)) },
        { name: 'plain', measure: measure(hashAndCopy) },
        { name: 'varve, out', measure: measure((source) => streamOut(store, source)) },
      ],
      close: async () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

/** Reading a file for its sha256, and then copying it with one call of the system; nothing is flushed. */
async function hashAndCopy(file: string): Promise<number> {
  const copy = `${file}-copy`
  const elapsedMs = await timed(async () => {
    const hash = createHash('sha256')
    for await (const chunk of readingOf(file)) hash.update(chunk)
    hash.digest()
    await copyFile(file, copy)
  })
  await rm(copy)
  return elapsedMs
}

/** Putting the same file as a stream, until it is flushed. */
async function streamIn(store: ArtifactStore, file: string): Promise<number> {
  let id: ContentId | undefined
  const elapsedMs = await timed(async () => {
    id = await store.put(readingOf(file))
  })
  if (id !== undefined) await store.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  return elapsedMs
}

/** Streaming the artifact into a file, its hash checked. */
async function streamOut(store: ArtifactStore, file: string): Promise<number> {
  const copy = `${file}-copy`
  const id = await store.put(readingOf(file))
  flushDisk()
  const elapsedMs = await timed(async () =>
    pipeline((await store.get(id)).stream(), createWriteStream(copy, { highWaterMark: MIB })),
  )
  await rm(copy)
  await store.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  return elapsedMs
}

/** What one measure leaves to be written is written before the next, which would wait for it otherwise. */
function flushDisk(): void {
  spawnSync('sync')
}

function readingOf(file: string): AsyncIterable<Uint8Array> {
  return createReadStream(file, { highWaterMark: MIB })
}

/** Flushed, so that no round pays for it. */
async function writeRandom(file: string, mebibytes: number): Promise<void> {
  await using target = await open(file, 'w')
  const chunk = new Uint8Array(MIB)
  for (let n = 0; n < mebibytes; n++) await target.write(randomFillSync(chunk))
  await target.sync()
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}
