import type { Store } from '@varve/store'
import { createTestClock, type Harness } from '@varve/store-contract'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { postgresStore } from '../postgres-store.ts'
import { forgetful } from './forgetful-pool.ts'

/**
 * Stores in one schema of the server, which exists as long as the harness.
 *
 * @param listenUrl - Where the stores listen, if not at `url`.
 */
export async function schemaHarness(url: string, listenUrl?: string): Promise<Harness> {
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
    open: async () => postgresStore({ pool: forgetful(pool, forget) }, { schema, now: clock.now, notifications }),
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

/** A name that no other test uses. */
export function newSchemaName(): string {
  return `test_${randomUUID().replaceAll('-', '')}`
}
