import { checkId, checkSealed, StoreError, type SecretStore } from '@varve/store'
import type { Memory } from './memory.ts'

/** The sealed values. */
export function memorySecrets(memory: Memory): SecretStore {
  const { secrets } = memory
  return {
    put: async (id, sealed) => {
      memory.checkOpen()
      checkSealed(id, sealed)
      if (!secrets.has(id)) secrets.set(id, new Uint8Array(sealed))
      const kept = secrets.get(id)
      if (kept === undefined) throw new StoreError('SECRET_ERASED', `secret ${id} was erased and stays so`)
      if (Buffer.compare(kept, sealed) !== 0) throw new StoreError('SECRET_CONFLICT', `secret ${id} has another value`)
    },

    get: async (id) => {
      memory.checkOpen()
      checkId('the id of a secret', id)
      return secrets.get(id)?.slice()
    },

    erase: async (id) => {
      memory.checkOpen()
      checkId('the id of a secret', id)
      secrets.set(id, undefined)
    },
  }
}
