import type {} from '../../../../test/postgres/global-setup.ts'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import { crashMatrix } from '@varve/testing'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { planScenario, type PlanScenario } from '../testing/plan-scenario.ts'

type Open = PlanScenario['open']

const isLong = process.env['VARVE_CRASH_TESTS'] === 'long'

const openSqlite: Open = async ({ now }) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'varve-plan-'))
  const store = await sqliteStore({ path: path.join(folder, 'runs.db') }, { now, synchronous: 'NORMAL' })
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  }
  return { ...store, [Symbol.asyncDispose]: close }
}

const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 4 })
const schema = `plan_crash_${crypto.randomUUID().replaceAll('-', '')}`

afterAll(async () => {
  await pool.query(`drop schema if exists "${schema}" cascade`)
  await pool.end()
})

/** One schema for all cases, each on a store that the one before has emptied. */
const openPostgres: Open = async ({ now }) => {
  const store = await postgresStore({ pool }, { now, schema })
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    const { rows } = await pool.query<{ name: string }>(
      'select tablename as name from pg_tables where schemaname = $1 and tablename <> $2',
      [schema, 'varve_schema'],
    )
    await pool.query(rows.map(({ name }) => `delete from "${schema}"."${name}"`).join('; '))
  }
  return { ...store, [Symbol.asyncDispose]: close }
}

test.for([
  { name: 'SQLite', open: openSqlite, maxConcurrency: 1 },
  { name: 'SQLite', open: openSqlite, maxConcurrency: 8 },
  { name: 'Postgres', open: openPostgres, maxConcurrency: 8 },
  ...(isLong ? [{ name: 'Postgres', open: openPostgres, maxConcurrency: 1 }] : []),
])(
  'a plan comes to the same wherever a process dies on $name, $maxConcurrency at once',
  { timeout: isLong ? 7_200_000 : 120_000 },
  async ({ open, maxConcurrency }) => {
    const pairs = isLong ? 'all' : { sample: 20 }

    const { cases, effects } = await crashMatrix(planScenario(open, maxConcurrency), { pairs })

    expect(cases).toBeGreaterThan(150)
    expect([...effects.values()]).toEqual([1])
  },
)
