import { fileArtifacts } from '@varve/artifacts-fs'
import type { ArtifactStore } from '@varve/store'
import { spawnSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { median } from '../statistics.ts'

const MIB = 1024 * 1024

/** What was measured of one large artifact. Times and ratios are medians over the rounds. */
export interface MeasuredArtifacts {
  readonly store: 'artifacts-fs'
  readonly rounds: number
  readonly mebibytes: number
  /** Reading a file for its sha256, and then copying it; nothing is flushed. */
  readonly bareMs: number
  /** Putting the same file as a stream, until it is flushed. */
  readonly inMs: number
  /** The bare time to that of putting, of the same round. */
  readonly inRatio: number
  /** Streaming the artifact into a file, its hash checked. */
  readonly outMs: number
  /** The bare time to that of streaming out, of the same round. */
  readonly outRatio: number
}

interface Round {
  readonly bareMs: number
  readonly inMs: number
  readonly outMs: number
}

/** Streams a file of random bytes in and out, in each round right after it was hashed and copied without Varve. */
export async function measureArtifacts(rounds: number, mebibytes: number): Promise<MeasuredArtifacts> {
  // On the disk of the current folder: a temporary folder may lie in memory, where a flush costs nothing.
  const parent = path.resolve('.varve')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(path.join(parent, 'bench-'))
  try {
    const file = path.join(folder, 'source')
    await writeRandom(file, mebibytes)
    const artifacts = fileArtifacts({ folder: path.join(folder, 'artifacts') })
    // Warms up as well.
    await measureRound(artifacts, file)
    const measured: Round[] = []
    for (let round = 0; round < rounds; round++) measured.push(await measureRound(artifacts, file))
    return {
      ...{ store: 'artifacts-fs', rounds, mebibytes },
      bareMs: median(measured.map(({ bareMs }) => bareMs)),
      inMs: median(measured.map(({ inMs }) => inMs)),
      inRatio: median(measured.map(({ bareMs, inMs }) => bareMs / inMs)),
      outMs: median(measured.map(({ outMs }) => outMs)),
      outRatio: median(measured.map(({ bareMs, outMs }) => bareMs / outMs)),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureRound(artifacts: ArtifactStore, file: string): Promise<Round> {
  const copy = `${file}-copy`
  flushDisk()
  const bareMs = await timed(async () => {
    const hash = createHash('sha256')
    for await (const chunk of readingOf(file)) hash.update(chunk)
    hash.digest()
    await copyFile(file, copy)
  })
  await rm(copy)
  flushDisk()
  const startedAt = performance.now()
  const id = await artifacts.put(readingOf(file))
  const inMs = performance.now() - startedAt
  flushDisk()
  const outMs = await timed(async () =>
    pipeline((await artifacts.get(id)).stream(), createWriteStream(copy, { highWaterMark: MIB })),
  )
  await rm(copy)
  await artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  return { bareMs, inMs, outMs }
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
