import type {} from '../../../test/postgres/global-setup.ts'
import { createTestClock } from '@varve/store-contract'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, inject, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'
import { schemaPool } from './testing/schema-pool.ts'

const MIB = 1024 * 1024
const DAY_MS = 24 * 60 * 60 * 1000

const url = inject('pgUrl')
let schema = ''
const pool = schemaPool(url, (name) => {
  schema = name
})

/** So many chunks of 1 MiB that differ; `between` is called before each but the first. */
async function* stream(count: number, between: (n: number) => unknown = () => undefined): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < count; n++) {
    if (n > 0) await between(n)
    yield new Uint8Array(MIB).fill(n + 1)
  }
}

/** How many rows there are of chunks, of uploads under way and of artifacts. */
async function rows(): Promise<readonly number[]> {
  const { rows: counts } = await pool.query<{ count: string }>(`
    select count(*) from ${schema}.artifact_chunks union all select count(*) from ${schema}.uploads
    union all select count(*) from ${schema}.artifacts`)
  return counts.map(({ count }) => Number(count))
}

test('a stream goes through a few MiB of memory', { timeout: 120_000 }, async () => {
  const program = path.join(import.meta.dirname, 'testing', 'stream-artifact.ts')
  const args = ['--conditions=@varve/source', '--expose-gc', program, url, schema, '100']

  const { stdout } = await promisify(execFile)(process.execPath, args)

  const { read, extra } = JSON.parse(stdout) as { read: number; extra: number }
  expect(read).toBe(100)
  expect(extra).toBeLessThan(64)
})

test('chunks of an upload that died are swept up by a put, a day after the last of them', async () => {
  const clock = createTestClock()
  const dying = await postgresStore({ pool }, { schema, now: clock.now })
  const upload = dying.artifacts.put(stream(5, async (n) => n === 4 && dying[Symbol.asyncDispose]()))
  await expect(upload).rejects.toMatchObject({ code: 'STORE_CLOSED' })
  expect(await rows()).toEqual([3, 1, 0])
  const store = await postgresStore({ pool }, { schema, now: clock.now })

  clock.advance(DAY_MS)
  await store.artifacts.put(stream(2))
  expect(await rows()).toEqual([5, 1, 1])
  clock.advance(1)
  await store.artifacts.put(stream(3))

  expect(await rows()).toEqual([5, 0, 2])
})

test('an upload that stands still for a day and is swept up names nothing', async () => {
  const clock = createTestClock()
  const store = await postgresStore({ pool }, { schema, now: clock.now })
  const slow = stream(4, async (n) => {
    if (n < 3) return
    clock.advance(DAY_MS + 1)
    await store.artifacts.put(stream(2))
  })

  await expect(store.artifacts.put(slow)).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true })

  expect(await rows()).toEqual([2, 0, 1])
})

test('a put that waits for a delete of the same artifact makes it anew', async () => {
  const store = await postgresStore({ pool }, { schema })
  const bytes = new Uint8Array(10).fill(1)
  const id = await store.artifacts.put(bytes)
  const other = await pool.connect()
  await other.query(`begin; delete from ${schema}.artifact_chunks; delete from ${schema}.artifacts`)

  const putting = store.artifacts.put(bytes)
  await waiting(schema)
  await other.query('commit')
  other.release()

  expect(await putting).toBe(id)
  expect([...(await (await store.artifacts.get(id)).bytes())]).toEqual([...bytes])
})

test('a put that waits for another of the same artifact sees its bytes when it is its turn', async () => {
  const store = await postgresStore({ pool }, { schema })
  const bytes = new Uint8Array(10).fill(1)
  const id = await store.artifacts.put(bytes)
  const { rows: artifacts } = await pool.query<Record<string, unknown>>(`select * from ${schema}.artifacts`)
  await store.artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
  const other = await pool.connect()
  const values = Object.values(artifacts[0] ?? {})
  await other.query('begin')
  await other.query(`insert into ${schema}.artifacts values ($1, $2, $3, $4, $5, $6)`, values)
  await other.query(`insert into ${schema}.artifact_chunks values ($1, 0, $2)`, [values[1], Buffer.from(bytes)])

  const putting = store.artifacts.put(bytes)
  await waiting(schema)
  await other.query('commit')
  other.release()

  expect(await putting).toBe(id)
  expect(await rows()).toEqual([1, 0, 1])
})

test('a touch locks artifacts in the order of their ids, whatever order they are asked for or stored in', async () => {
  const store = await postgresStore({ pool }, { schema })
  const ids = await Promise.all([1, 2, 3, 4].map(async (n) => store.artifacts.put(Uint8Array.of(n))))
  const [least = '', ...rest] = ids.toSorted()
  // Moved to the end of the table.
  await pool.query(`update ${schema}.artifacts set size = size where id = $1`, [least])
  const other = await pool.connect()
  await other.query(`begin; select 1 from ${schema}.artifacts where id = '${least}' for update`)

  const touching = store.artifacts.touch(ids)
  await waiting(schema)
  await other.query(`select 1 from ${schema}.artifacts where id = any($1) for update nowait`, [rest])
  await other.query('commit')
  other.release()

  expect(await touching).toEqual(ids)
})

/** Resolves when somebody waits for a lock in the schema. */
async function waiting(name: string): Promise<void> {
  const query = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like $1`
  while ((await pool.query(query, [`%"${name}"%`])).rowCount === 0);
}
