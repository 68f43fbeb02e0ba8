import { contentId, isStoreError, type Store } from '@varve/store'
import { createTestClock } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sqliteStore } from './sqlite-store.ts'
import { observed } from './testing/observed-database.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

const MIB = 1024 * 1024
const DAY_MS = 24 * 60 * 60 * 1000

let folder = ''
let file = ''

beforeEach(async () => {
  folder = await temporaryFolder()
  file = path.join(folder, 'runs.sqlite')
})
afterEach(async () => rm(folder, { recursive: true }))

/** So many chunks of 1 MiB that differ; `between` is called before each but the first. */
async function* stream(count: number, between: (n: number) => unknown = () => undefined): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < count; n++) {
    if (n > 0) await between(n)
    yield new Uint8Array(MIB).fill(n + 1)
  }
}

/** How many rows there are of chunks, of uploads under way and of artifacts. */
function rowsIn(at: string): Readonly<Record<'artifact_chunks' | 'uploads' | 'artifacts', number>> {
  const database = new SQLite(at)
  const count = (table: string): number => database.prepare(`select count(*) from ${table}`).pluck().get() as number
  const counts = { artifact_chunks: count('artifact_chunks'), uploads: count('uploads'), artifacts: count('artifacts') }
  database.close()
  return counts
}

async function putOn(store: Store, content: AsyncIterable<Uint8Array>): Promise<string> {
  return store.artifacts.put(content).catch((error: unknown) => (isStoreError(error) ? error.code : String(error)))
}

describe('small artifacts', () => {
  test('a put is one transaction of two inserts, and a put again one of a look', async () => {
    const statements: string[] = []
    const database = new SQLite(file)
    const seen = observed(database, (sql, execute) => {
      statements.push(sql.split(' ', 1)[0] ?? '')
      return execute()
    })
    const store = await sqliteStore({ database: seen })
    statements.length = 0

    await store.artifacts.put(new Uint8Array(MIB))
    expect(statements.splice(0)).toEqual(['begin', 'insert', 'insert', 'commit'])
    await store.artifacts.put(stream(1))
    expect(statements.splice(0)).toEqual(['begin', 'insert', 'insert', 'commit'])
    await store.artifacts.put(new Uint8Array(MIB))
    expect(statements.splice(0)).toEqual(['begin', 'insert', 'select', 'commit'])
    await store.artifacts.touch([contentId('a'), contentId('b')])
    expect(statements.splice(0)).toEqual(['begin', 'with', 'commit'])

    await store[Symbol.asyncDispose]()
    database.close()
  })
})

describe('streams', () => {
  test('200 MiB go through a few MiB of memory, put, put again and read', { timeout: 300_000 }, async () => {
    const program = path.join(import.meta.dirname, 'testing', 'stream-artifact.ts')
    const args = ['--conditions=@varve/source', '--expose-gc', program, file, '200']

    const { stdout } = await promisify(execFile)(process.execPath, args)

    const { read, extra } = JSON.parse(stdout) as { read: number; extra: number }
    expect(read).toBe(200)
    expect(extra).toBeLessThan(64)
  })

  test('what a stream leaves is its chunks and its name; one that throws leaves no row', async () => {
    await using store = await sqliteStore({ path: file })

    const broken = stream(5, (n) => {
      expect(rowsIn(file)).toMatchObject({ uploads: n > 2 ? 1 : 0, artifacts: 0 })
      if (n === 4) throw new Error('the producer is broken')
    })
    expect(await putOn(store, broken)).toBe('Error: the producer is broken')

    expect(rowsIn(file)).toEqual({ artifact_chunks: 0, uploads: 0, artifacts: 0 })
    await store.artifacts.put(stream(3))
    await store.artifacts.put(stream(3))
    expect(rowsIn(file)).toEqual({ artifact_chunks: 3, uploads: 0, artifacts: 1 })
  })

  test('chunks of an upload that died are swept up by a put, a day after the last of them', async () => {
    const clock = createTestClock()
    const dying = await sqliteStore({ path: file }, { now: clock.now })
    await putOn(
      dying,
      stream(5, async (n) => n === 4 && dying[Symbol.asyncDispose]()),
    )
    expect(rowsIn(file)).toEqual({ artifact_chunks: 3, uploads: 1, artifacts: 0 })
    await using store = await sqliteStore({ path: file }, { now: clock.now })

    clock.advance(DAY_MS)
    await store.artifacts.put(stream(2))
    expect(rowsIn(file)).toEqual({ artifact_chunks: 5, uploads: 1, artifacts: 1 })
    clock.advance(1)
    await store.artifacts.put(stream(3))

    expect(rowsIn(file)).toEqual({ artifact_chunks: 5, uploads: 0, artifacts: 2 })
  })

  test('an upload that stands still for a day and is swept up names nothing, and can be tried again', async () => {
    const clock = createTestClock()
    await using store = await sqliteStore({ path: file }, { now: clock.now })
    const slow = stream(4, async (n) => {
      if (n < 3) return
      clock.advance(DAY_MS + 1)
      await store.artifacts.put(stream(2))
    })

    await expect(store.artifacts.put(slow)).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true })

    expect(rowsIn(file)).toEqual({ artifact_chunks: 2, uploads: 0, artifacts: 1 })
    await store.artifacts.put(stream(4))
    expect(rowsIn(file)).toEqual({ artifact_chunks: 6, uploads: 0, artifacts: 2 })
  })

  test('an upload that is slow, but goes on, is nobody to sweep up', async () => {
    const clock = createTestClock()
    await using store = await sqliteStore({ path: file }, { now: clock.now })
    const slow = stream(6, async (n) => {
      clock.advance(DAY_MS - 1)
      if (n === 5) await store.artifacts.put(stream(2))
    })

    const id = await store.artifacts.put(slow)

    expect((await (await store.artifacts.get(id as never)).bytes()).byteLength).toBe(6 * MIB)
  })

  test('a chunk that is missing is ARTIFACT_CORRUPT until the stream is put again', async () => {
    await using store = await sqliteStore({ path: file })
    const id = await store.artifacts.put(stream(3))
    const spoil = (statement: string): void => {
      const database = new SQLite(file)
      database.prepare(statement).run()
      database.close()
    }
    spoil('delete from artifact_chunks where number = 1')

    await expect((await store.artifacts.get(id)).bytes()).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    for (const damage of ['delete from artifact_chunks', 'update artifacts set size = 7']) {
      spoil(damage)
      expect(await store.artifacts.put(stream(3))).toBe(id)
      expect((await (await store.artifacts.get(id)).bytes()).byteLength).toBe(3 * MIB)
      expect(rowsIn(file)).toEqual({ artifact_chunks: 3, uploads: 0, artifacts: 1 })
    }
  })
})
