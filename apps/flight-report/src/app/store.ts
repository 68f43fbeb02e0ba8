import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import path from 'node:path'
import { AppError } from './failure.ts'

/** Where a run can be kept. */
export const stores = ['memory', 'sqlite', 'postgres'] as const

/** Where a run can be kept. */
export type StoreName = (typeof stores)[number]

/** Opens a store. Nothing else in this program knows which one it is. */
export async function openStore(name: StoreName, folder: string): Promise<Store> {
  switch (name) {
    case 'memory':
      return memoryStore()
    case 'sqlite':
      return sqliteStore({ path: path.join(folder, 'runs.sqlite') })
    case 'postgres':
      return postgresStore({ url: databaseUrl() })
  }
}

function databaseUrl(): string {
  const url = process.env['DATABASE_URL']
  if (url !== undefined && url !== '') return url
  const text = 'set DATABASE_URL, for example to postgres://user:password@localhost:5432/flights, or leave out --store'
  throw new AppError('DATABASE_URL_MISSING', text)
}
