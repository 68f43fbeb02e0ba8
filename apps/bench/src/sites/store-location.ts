import type { Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'

/** Where a store is, in words that another process can be told. */
export type StoreLocation =
  | { readonly kind: 'sqlite'; readonly path: string; readonly synchronous: 'FULL' | 'NORMAL' }
  | { readonly kind: 'postgres'; readonly url: string; readonly schema: string }

/** Opens a store, or opens it once more. */
export async function openStore(location: StoreLocation): Promise<Store> {
  if (location.kind === 'postgres') return postgresStore({ url: location.url }, { schema: location.schema })
  return sqliteStore({ path: location.path }, { synchronous: location.synchronous })
}
