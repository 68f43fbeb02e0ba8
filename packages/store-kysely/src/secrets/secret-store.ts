import { checkId, checkSealed, StoreError, type SecretStore } from '@varve/store'
import type { StoreParts } from '../store-parts.ts'
import { secretQueries, type SecretQueries } from './secret-queries.ts'

/** The sealed values. */
export function sqlSecrets(parts: StoreParts): SecretStore {
  const queries = secretQueries(parts.dialect)
  return {
    put: async (id, sealed) => put(parts, queries, id, sealed),
    get: async (id) => {
      checkId('the id of a secret', id)
      const record = await parts.executor.get(queries.get, { id })
      // Drivers answer subclasses, and memory that is theirs.
      return record?.sealed ? Uint8Array.from(record.sealed) : undefined
    },
    erase: async (id) => {
      checkId('the id of a secret', id)
      await parts.executor.run(queries.erase, { id })
    },
  }
}

/** Rows are never deleted, so what was in the way of a put is still there when it is looked at. */
async function put(parts: StoreParts, queries: SecretQueries, id: string, sealed: Uint8Array): Promise<void> {
  checkSealed(id, sealed)
  // A copy: the driver may send it later than now.
  const bytes = Buffer.from(sealed)
  if ((await parts.executor.run(queries.put, { id, sealed: bytes })) > 0) return
  const kept = (await parts.executor.get(queries.get, { id }))?.sealed
  if (kept == null) throw new StoreError('SECRET_ERASED', `secret ${id} was erased and stays so`)
  if (!bytes.equals(kept)) throw new StoreError('SECRET_CONFLICT', `secret ${id} has another value`)
}
