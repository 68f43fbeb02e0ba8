import { fileArtifacts } from '@varve/artifacts-fs'
import type { ArtifactStore, ContentId } from '@varve/store'
import { spawnSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { cpuClock } from '../rounds/cpu-time.ts'
import { memoryWatch } from '../rounds/memory-peak.ts'
import type { Amounts, Figures, Prepared } from '../rounds/program.ts'

const MIB = 1024 * 1024

/** What is held is looked at whenever so many chunks of 1 MiB have passed. */
const CHUNKS_BETWEEN_LOOKS = 32

/** Artifacts of so many MiB are measured, too, where they are smaller than the large one. */
const smallerSizes = [1, 32, 256]

/** What is streamed of an artifact at least, in MiB: small ones so many times, one after the other. */
const AT_LEAST_MIB = 8

/** One large artifact in a folder, next to hashing and copying its file, and to smaller ones. */
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
    const source = { file, mebibytes }
    return {
      programs: [
        { name: 'varve, in', measure: () => rateOf(source, (whole) => streamIn(store, whole)) },
        { name: 'plain', measure: () => rateOf(source, hashAndCopy) },
        { name: 'varve, out', measure: () => rateOf(source, (whole) => streamOut(store, whole)) },
        ...smallerSizes
          .filter((size) => size < mebibytes)
          .flatMap((size) => [
            {
              name: `varve, in, ${size} MiB`,
              measure: () => rateOf({ file, mebibytes: size }, (part) => streamIn(store, part)),
            },
            {
              name: `varve, out, ${size} MiB`,
              measure: () => rateOf({ file, mebibytes: size }, (part) => streamOut(store, part)),
            },
          ]),
        { name: 'varve, memory', collects: true, measure: () => heldWhile(store, source) },
      ],
      close: async () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

/** What is put: the beginning of a file. */
interface Source {
  readonly file: string
  readonly mebibytes: number
}

/** What something took. */
interface Cost {
  readonly elapsedMs: number
  readonly cpuMs: number
}

async function rateOf(source: Source, work: (source: Source) => Promise<Cost>): Promise<Figures> {
  const times = Math.ceil(AT_LEAST_MIB / source.mebibytes)
  const mebibytes = times * source.mebibytes
  flushDisk()
  const costs: Cost[] = []
  for (let time = 0; time < times; time++) costs.push(await work(source))
  const sum = (what: keyof Cost): number => costs.reduce((total, cost) => total + cost[what], 0)
  return { 'MiB/s': (mebibytes / sum('elapsedMs')) * 1000, 'CPU ms/MiB': sum('cpuMs') / mebibytes }
}

/** The most that is held beyond what was before, garbage aside, while the artifact is streamed in and out again. */
async function heldWhile(store: ArtifactStore, { file, mebibytes }: Source): Promise<Figures> {
  const watch = memoryWatch()
  const id = await store.put(watched(readingOf({ file, mebibytes }), watch.look))
  for await (const _ of watched((await store.get(id)).stream(), watch.look));
  await remove(store, id)
  return { 'held MiB': watch.peakBytes() / MIB }
}

/** The same bytes; looks at every so many chunks. */
async function* watched(chunks: AsyncIterable<Uint8Array>, look: () => void): AsyncIterable<Uint8Array> {
  let passed = 0
  for await (const chunk of chunks) {
    if (passed++ % CHUNKS_BETWEEN_LOOKS === 0) look()
    yield chunk
  }
}

/** Reading a file for its sha256, and then copying it with one call of the system; nothing is flushed. */
async function hashAndCopy({ file, mebibytes }: Source): Promise<Cost> {
  const copy = `${file}-copy`
  const cost = await timed(async () => {
    const hash = createHash('sha256')
    for await (const chunk of readingOf({ file, mebibytes })) hash.update(chunk)
    hash.digest()
    await copyFile(file, copy)
  })
  await rm(copy)
  return cost
}

/** Putting the same file as a stream, until it is flushed. */
async function streamIn(store: ArtifactStore, source: Source): Promise<Cost> {
  let id: ContentId | undefined
  const cost = await timed(async () => {
    id = await store.put(readingOf(source))
  })
  if (id !== undefined) await remove(store, id)
  return cost
}

/** Streaming the artifact into a file, its hash checked. */
async function streamOut(store: ArtifactStore, source: Source): Promise<Cost> {
  const copy = `${source.file}-copy`
  const id = await store.put(readingOf(source))
  flushDisk()
  const cost = await timed(async () =>
    pipeline((await store.get(id)).stream(), createWriteStream(copy, { highWaterMark: MIB })),
  )
  await rm(copy)
  await remove(store, id)
  return cost
}

async function remove(store: ArtifactStore, id: ContentId): Promise<void> {
  await store.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
}

/** What one measure leaves to be written is written before the next, which would wait for it otherwise. */
function flushDisk(): void {
  spawnSync('sync')
}

function readingOf({ file, mebibytes }: Source): AsyncIterable<Uint8Array> {
  return createReadStream(file, { highWaterMark: MIB, end: mebibytes * MIB - 1 })
}

/** Flushed, so that no round pays for it. */
async function writeRandom(file: string, mebibytes: number): Promise<void> {
  await using target = await open(file, 'w')
  const chunk = new Uint8Array(MIB)
  for (let n = 0; n < mebibytes; n++) await target.write(randomFillSync(chunk))
  await target.sync()
}

async function timed(work: () => Promise<unknown>): Promise<Cost> {
  const cpuMs = cpuClock()
  const cpuBefore = cpuMs()
  const startedAt = performance.now()
  await work()
  return { elapsedMs: performance.now() - startedAt, cpuMs: cpuMs() - cpuBefore }
}
