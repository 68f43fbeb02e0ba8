import { describe, test } from 'vitest'
import type { ArtifactHarness } from './artifact-contract.ts'
import { artifactCases } from './contract-cases.ts'
import { TIMEOUT_MS } from './describe-store-contract.ts'

/**
 * Declares the contract of artifact stores as tests, for one that stands alone. The artifacts of a whole store are a part of
 * `describeStoreContract`.
 *
 * @param name - What the report calls the store.
 * @param factory - Makes a harness for one case, isolated from every other.
 */
export function describeArtifactStoreContract(name: string, factory: () => Promise<ArtifactHarness>): void {
  for (const [group, cases] of Map.groupBy(artifactCases, (one) => one.group)) {
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
