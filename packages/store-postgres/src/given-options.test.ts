import type {} from '../../../test/postgres/global-setup.ts'
import { StoreError } from '@varve/store'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import type { PostgresLocation } from './pool.ts'
import { migratePostgres, postgresStore, type PostgresStoreOptions } from './postgres-store.ts'

const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as unknown

/** Is never asked. */
const pool = {
  connect: async () => {
    throw new StoreError('STORE_FAILED', 'nobody may connect')
  },
}

describe('what is no location is refused before anybody connects:', () => {
  test.for([
    {},
    { url: '' },
    { url: 7 },
    { url: undefined },
    { url: 'localhost:1/database' },
    { url: 'http://localhost:1/database' },
    { pool: {} },
    { pool: null },
    { pool: undefined },
    { pool, schema: 'mine' },
    { url: 'postgres://localhost:1/database', poolsize: 3 },
    null,
    7,
    [],
  ])('%o', async (location) => {
    await expect(postgresStore(location as unknown as PostgresLocation)).rejects.toEqual(refused)
    await expect(migratePostgres(location as unknown as PostgresLocation)).rejects.toEqual(refused)
  })

  test('an address without its postgres://, and its password is not told', async () => {
    const error: unknown = await postgresStore({ url: 'user:hidden@localhost:1/database' }).catch(
      (thrown: unknown) => thrown,
    )

    expect(error).toEqual(refused)
    expect(String(error)).not.toContain('hidden')
  })

  test('the address itself, and its password is not told', async () => {
    const address = 'postgres://user:hidden@localhost/database' as unknown as PostgresLocation

    const error: unknown = await postgresStore(address).catch((thrown: unknown) => thrown)

    expect(error).toEqual(refused)
    expect(String(error)).toContain('{ url }')
    expect(String(error)).not.toContain('hidden')
  })
})

test('a single connection in place of a pool is refused', async () => {
  const client = new pg.Client(inject('pgUrl'))

  await expect(postgresStore({ pool: client as never })).rejects.toEqual(refused)

  await client.end()
})

describe('what is no option is refused before anybody connects:', () => {
  test.for([
    ...[null, 'varve', 7, []],
    ...[{ schema: null }, { schema: true }, { schema: ['varve'] }, { schema: Symbol('varve') }],
    ...[{ now: 7 }, { now: null }, { now: '2020' }],
    ...[{ shema: 'mine' }, { prepared: false }],
    ...[{ migrate: 'false' }, { groupCommit: null }, { preparedStatements: 'no' }],
    ...[
      { notifications: null },
      { notifications: 'postgres://x' },
      { notifications: {} },
      { notifications: { url: '' } },
    ],
  ])('%o', async (options) => {
    await expect(postgresStore({ pool }, options as unknown as PostgresStoreOptions)).rejects.toEqual(refused)
  })

  test('by a migration, which takes the schema alone', async () => {
    const misspelt = { shema: 'mine' } as object

    await expect(migratePostgres({ pool }, misspelt)).rejects.toEqual(refused)
  })
})

test.for(['5', null, Number.NaN, 0.5])('a clock that tells %s stops what needs the time', async (time) => {
  const options = { schema: 'given_options', now: () => time as number }
  await using store = await postgresStore({ url: inject('pgUrl') }, options)

  await expect(store.now()).rejects.toEqual(refused)
  await expect(store.artifacts.put(Uint8Array.of(1))).rejects.toEqual(refused)
})
