import type { SqliteDatabase } from '../database.ts'

/** Stands around the execution of every statement: sees its text and its values, and executes it or not. */
export type Observer = <T>(sql: string, execute: () => T, values: readonly unknown[]) => T

/** A database whose statements are executed by an observer. */
export function observed(database: SqliteDatabase, observe: Observer): SqliteDatabase {
  return {
    get memory() {
      return database.memory
    },
    get inTransaction() {
      return database.inTransaction
    },
    close: () => database.close(),
    prepare: (sql) => {
      const statement = database.prepare(sql)
      return {
        run: (values) => observe(sql, () => statement.run(values), values),
        get: (values) => observe(sql, () => statement.get(values), values),
        all: (values) => observe(sql, () => statement.all(values), values),
      }
    },
  }
}
