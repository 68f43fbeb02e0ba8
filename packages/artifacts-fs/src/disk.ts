import { isStoreError, StoreError } from '@varve/store'
import type * as fs from 'node:fs/promises'

/** What is asked of the file system. */
export type Disk = Pick<
  typeof fs,
  'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'rmdir' | 'stat' | 'unlink' | 'writeFile'
>

/** Where artifacts are kept. */
export interface Place {
  readonly disk: Disk
  /** Absolute. */
  readonly folder: string
  /** The store's clock, Unix milliseconds. */
  readonly now: () => number
}

/** The answer of a call, or nothing when it was refused for one of these reasons. */
export async function unless<T>(refusals: readonly string[], call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (refusals.includes(reasonOf(error))) return undefined
    throw error
  }
}

/** Whether a call did its work; false when it was refused for one of these reasons. */
export async function succeeds(refusals: readonly string[], call: Promise<unknown>): Promise<boolean> {
  return (
    (await unless(
      refusals,
      call.then(() => true),
    )) ?? false
  )
}

/** Lets the names in a folder survive a power failure. A folder that is gone has none. */
export async function syncFolder(disk: Disk, folder: string): Promise<void> {
  const handle = await unless(['ENOENT'], disk.open(folder, 'r'))
  try {
    await handle?.sync()
  } finally {
    await handle?.close()
  }
}

/** Far more than calls can come in between; a file system that answers from the past would never come to an end. */
const MOST_TRIES = 1000

/** Tries until there is an answer. Every further try means that another call, maybe of another process, came in between. */
export async function retried<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const answer = await attempt()
    if (answer !== undefined) return answer
  }
  const text = 'the folder of an artifact does not come to rest; keep artifacts on a local disk, and try again'
  throw new StoreError('STORE_BUSY', text, { retryable: true })
}

/** The answers for all items, in their order; so many of them are worked on at once. */
export async function inBatches<T, R>(items: readonly T[], size: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = []
  for (let at = 0; at < items.length; at += size) {
    answers.push(...(await Promise.all(items.slice(at, at + size).map(work))))
  }
  return answers
}

/** Runs what only asks the file system; throws its errors as those of a store. */
export async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw diskError(error)
  }
}

function diskError(error: unknown): StoreError {
  if (isStoreError(error)) return error
  const [code, remedy] = meaningOf(reasonOf(error))
  const detail = error instanceof Error ? error.message : String(error)
  return new StoreError(code, `${remedy} (${detail})`, { cause: error })
}

function meaningOf(reason: string): readonly ['STORE_UNREACHABLE' | 'STORE_FAILED', string] {
  switch (reason) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return ['STORE_UNREACHABLE', 'the folder of the artifacts cannot be used; check its path and its rights']
    case 'ENOSPC':
    case 'EDQUOT':
      return ['STORE_FAILED', 'the disk is full and nothing was kept; make room, and put it again']
    case 'EMFILE':
    case 'ENFILE':
      return ['STORE_FAILED', 'too many files are open; put and read fewer artifacts at once']
    default:
      return ['STORE_FAILED', 'the file system refused; look at the disk']
  }
}

/** `ENOENT` and the like; empty for what is no error of the system. */
function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}
