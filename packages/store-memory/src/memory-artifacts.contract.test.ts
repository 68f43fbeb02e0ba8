import { createTestClock, describeArtifactStoreContract } from '@varve/store-contract'
import { storeOver } from './memory-store.ts'
import { Memory } from './memory.ts'

describeArtifactStoreContract('artifacts in memory', async () => {
  const clock = createTestClock()
  const memory = new Memory(clock.now)
  return {
    clock,
    durable: false,
    shared: true,
    open: async () => storeOver(memory).artifacts,
    corrupt: async (id) => {
      const bytes = memory.artifacts.get(id)?.bytes
      bytes?.set([(bytes[0] ?? 0) ^ 1])
    },
    destroy: async () => undefined,
  }
})
