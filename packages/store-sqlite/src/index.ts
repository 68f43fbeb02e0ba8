export { migrateSqlite, sqliteStore } from './sqlite-store.ts'
export type { SqliteStoreOptions } from './sqlite-store.ts'
export type { SqliteDatabase, SqliteLocation, SqliteStatement } from './database.ts'
