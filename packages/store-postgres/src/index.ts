export { migratePostgres, postgresStore } from './postgres-store.ts'
export type { PostgresStoreOptions } from './postgres-store.ts'
export type { PostgresClient, PostgresLocation, PostgresPool, PostgresQuery, PostgresResult } from './pool.ts'
