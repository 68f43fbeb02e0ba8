import { describe, test } from 'vitest'
import { contractCases } from './contract-cases.ts'
import type { Harness } from './harness.ts'

/** Some cases start processes or write megabytes; this bounds the slowest on a busy machine. */
export const TIMEOUT_MS = 120_000

/**
 * Declares the whole contract as tests: call it at the top of a vitest file.
 *
 * @param name - What the report calls the store.
 * @param factory - Makes a harness for one case, isolated from every other.
 *
 * @example
 * ```ts
 * describeStoreContract('my store', async () => {
 *   const clock = createTestClock()
 *   return { clock, open: async () => myStore({ now: clock.now }), destroy: async () => {} }
 * })
 * ```
 */
export function describeStoreContract(name: string, factory: () => Promise<Harness>): void {
  for (const [group, cases] of Map.groupBy(contractCases, (one) => one.group)) {
    describe(`${name}: ${group}`, () => {
      test.for(cases.map((one) => [one.name, one] as const))('%s', { timeout: TIMEOUT_MS }, async ([, one]) => {
        const harness = await factory()
        try {
          await one.run(harness)
        } finally {
          await harness.destroy()
        }
      })
    })
  }
}
