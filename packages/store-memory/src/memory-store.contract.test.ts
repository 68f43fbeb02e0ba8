import { createTestClock, describeStoreContract } from '@varve/store-contract'
import { memoryStore } from './memory-store.ts'

describeStoreContract('memory', async () => {
  const clock = createTestClock()
  return { clock, open: async () => memoryStore({ now: clock.now }), destroy: async () => undefined }
})
