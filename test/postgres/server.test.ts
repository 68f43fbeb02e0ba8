import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { startPostgres, type PostgresServer } from './server.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ durable: true })
})
afterAll(() => server.stop())

test('the shared server answers', async () => {
  const answer = await query(inject('pgUrl'), 'select 1 as one')

  expect(answer).toEqual([{ one: 1 }])
})

test('a durable server flushes every commit', async () => {
  const settings = await query(
    server.url,
    "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit') order by name",
  )

  expect(settings).toEqual([
    { name: 'fsync', setting: 'on' },
    { name: 'synchronous_commit', setting: 'on' },
  ])
})

test('a restart keeps data and address', async () => {
  await query(server.url, 'create table kept (id int); insert into kept values (7)')

  await server.restart()
  const rows = await query(server.url, 'select id from kept')

  expect(rows).toEqual([{ id: 7 }])
})

async function query(connectionString: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    const result = await client.query<Record<string, unknown>>(sql)
    return result.rows
  } finally {
    await client.end()
  }
}
