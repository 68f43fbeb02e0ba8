import { contractCases, describeStoreContract } from '@varve/store-contract'
import { test } from 'vitest'
import { fileHarness, memoryHarness } from './testing/sqlite-harness.ts'

describeStoreContract('sqlite', async () => fileHarness())
describeStoreContract('sqlite in memory', memoryHarness)

const races = contractCases.filter(({ group }) => group === 'processes').map((one) => [one.name, one] as const)

test.for(races)('a store that says it is busy in place of waiting: %s', { timeout: 120_000 }, async ([, one]) => {
  const harness = await fileHarness(0)
  try {
    await one.run(harness)
  } finally {
    await harness.destroy()
  }
})
