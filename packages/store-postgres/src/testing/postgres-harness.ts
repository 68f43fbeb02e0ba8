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

/** Harnesses in schemas of one server, and what drops those schemas when all cases are over. */
export interface SchemaHarnesses {
  readonly make: () => Promise<Harness>
  readonly drop: () => Promise<void>
}

/**
 * Each case has a schema to itself, which is emptied after it and then serves another one: that takes a fraction of the time
 * of making it anew. One that other processes have worked on is dropped, as they may not be through with it.
 */
export function schemaHarnesses(url: string, options: HarnessOptions = {}): SchemaHarnesses {
  const empty: string[] = []
  const shared = new pg.Pool({ connectionString: url, max: 10 })
  return {
    make: async () => {
      const used = empty.pop()
      const schema = used ?? newSchemaName()
      return harnessIn(schema, {
        ...options,
        url,
        pool: shared,
        isNew: used === undefined,
        onEmpty: () => empty.push(schema),
      })
    },
    drop: async () => {
      for (const schema of empty.splice(0)) await dropSchema(shared, schema)
      await shared.end()
    },
  }
}

interface Place extends HarnessOptions {
  readonly url: string
  readonly pool: pg.Pool
  readonly isNew: boolean
  readonly onEmpty: () => void
}

/** Stores in one schema of the server. */
function harnessIn(schema: string, { url, pool, listenUrl, functions = true, isNew, onEmpty }: Place): Harness {
  const notifications = listenUrl === undefined ? true : { url: listenUrl }
  const clock = createTestClock()
  let forgets = false
  const forget = (): boolean => {
    const now = forgets
    forgets = false
    return now
  }
  let isShared = false
  // Where there are to be no functions nobody may make them again.
  let migrate = functions || isNew
  return {
    clock,
    get child() {
      isShared = true
      return { module: import.meta.filename, export: 'openInChild', args: { url, schema } }
    },
    open: async () => {
      const given = { schema, now: clock.now, notifications, migrate }
      const store = await postgresStore({ pool: forgetful(pool, forget) }, given)
      if (!functions && migrate) await dropFunctions(pool, schema)
      migrate = functions
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
      await (isShared ? dropSchema(pool, schema) : emptySchema(pool, schema))
      if (!isShared) onEmpty()
    },
  }
}

async function dropSchema(pool: pg.Pool, schema: string): Promise<void> {
  await pool.query(`drop schema if exists ${schema} cascade`)
}

/** All rows go but the one that says which version the schema has. */
async function emptySchema(pool: pg.Pool, schema: string): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    'select tablename as name from pg_tables where schemaname = $1 and tablename <> $2',
    [schema, 'varve_schema'],
  )
  await pool.query(rows.map(({ name }) => `delete from ${schema}.${name}`).join('; '))
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
