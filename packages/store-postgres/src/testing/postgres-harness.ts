import type { Store } from '@varve/store'
import { createTestClock, type Harness } from '@varve/store-contract'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { postgresStore } from '../postgres-store.ts'
import { forgetful } from './forgetful-pool.ts'

/** What is special about the schema of a harness. */
interface HarnessOptions {
  /** Where the stores listen, if not where they are. */
  readonly listenUrl?: string
  /** False: the stores find none of their functions. Default true. */
  readonly functions?: boolean
}

/** Stores in one schema of the server, which exists as long as the harness. */
export async function schemaHarness(url: string, options: HarnessOptions = {}): Promise<Harness> {
  const { listenUrl, functions = true } = options
  const notifications = listenUrl === undefined ? true : { url: listenUrl }
  const schema = newSchemaName()
  const clock = createTestClock()
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  let forgets = false
  const forget = (): boolean => {
    const now = forgets
    forgets = false
    return now
  }
  return {
    clock,
    child: { module: import.meta.filename, export: 'openInChild', args: { url, schema } },
    open: async () => {
      const given = { schema, now: clock.now, notifications }
      const store = await postgresStore({ pool: forgetful(pool, forget) }, given)
      if (!functions) await dropFunctions(pool, schema)
      return store
    },
    loseNextAnswer: () => {
      forgets = true
    },
    corruptArtifact: async (id) => {
      const flipped = 'set_byte(bytes, 0, get_byte(bytes, 0) # 1)'
      const upload = `select upload from ${schema}.artifacts where id = $1`
      await pool.query(
        `update ${schema}.artifact_chunks set bytes = ${flipped} where upload = (${upload}) and number = 0`,
        [id],
      )
    },
    destroy: async () => {
      await pool.query(`drop schema if exists ${schema} cascade`)
      await pool.end()
    },
  }
}

/**
 * Opens the schema of a harness in another process, which imports this module by its path.
 *
 * @public
 */
export async function openInChild(args: { readonly url: string; readonly schema: string }): Promise<Store> {
  return postgresStore({ url: args.url, poolSize: 2 }, { schema: args.schema })
}

/** What a schema is like that was migrated by somebody who may make no functions. */
export async function dropFunctions(pool: pg.Pool, schema: string): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    'select oid::regprocedure::text as name from pg_proc where pronamespace = $1::regnamespace',
    [schema],
  )
  if (rows.length > 0) await pool.query(`drop function if exists ${rows.map(({ name }) => name).join(', ')}`)
}

/** A name that no other test uses. */
export function newSchemaName(): string {
  return `test_${randomUUID().replaceAll('-', '')}`
}
