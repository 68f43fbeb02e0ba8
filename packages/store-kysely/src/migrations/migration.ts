import type { Compilable } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { firstSchema } from './first-schema.ts'

/** One step of the schema's history. Steps are only ever added, and none is changed once it was released. */
export interface Migration {
  /** 1 for the first, and one more for each. */
  readonly version: number
  statements(dialect: SqlDialect): readonly Compilable[]
}

/** All steps, oldest first. */
export const migrations: readonly Migration[] = [{ version: 1, statements: firstSchema }]

/** The version that this release reads and writes. */
export const schemaVersion: number = migrations.length
