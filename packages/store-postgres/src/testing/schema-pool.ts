import pg from 'pg'
import { afterAll, afterEach, beforeEach } from 'vitest'
import { newSchemaName } from './postgres-harness.ts'

/**
 * A pool for the tests of a file, each of which has a schema of its own that is dropped behind it.
 *
 * @param use - told the name of the schema before each test.
 */
export function schemaPool(url: string, use: (schema: string) => void): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  // Tests end connections of the pool.
  pool.on('error', () => undefined)
  let schema = ''
  beforeEach(() => {
    schema = newSchemaName()
    use(schema)
  })
  afterEach(async () => {
    await pool.query(`drop schema if exists ${schema} cascade`)
  })
  afterAll(async () => pool.end())
  return pool
}
