import { contractCases, type ContractCase, type Harness } from '@varve/store-contract'
import { describe, expect, test } from 'vitest'
import { artifactMutants } from './testing/artifact-mutants.ts'
import { artifactUseMutants } from './testing/artifact-use-mutants.ts'
import { cacheMutants } from './testing/cache-mutants.ts'
import { capabilityMutants } from './testing/capability-mutants.ts'
import { dueTimeMutants } from './testing/due-mutants.ts'
import { inboxMutants } from './testing/inbox-mutants.ts'
import { logMutants } from './testing/log-mutants.ts'
import type { Mutant } from './testing/mutant.ts'
import { queueMutants } from './testing/queue-mutants.ts'
import { runMutants } from './testing/run-mutants.ts'
import { secretMutants } from './testing/secret-mutants.ts'
import { sharedMemoryHarness } from './testing/shared-memory.ts'
import { sharedCommitMutants } from './testing/shared-commit-mutants.ts'
import { standingMutants } from './testing/standing-mutants.ts'
import { storeMutants } from './testing/store-mutants.ts'

const mutants: readonly Mutant[] = [
  ...logMutants,
  ...sharedCommitMutants,
  ...inboxMutants,
  ...runMutants,
  ...queueMutants,
  ...dueTimeMutants,
  ...secretMutants,
  ...artifactMutants,
  ...artifactUseMutants,
  ...cacheMutants,
  ...storeMutants,
  ...standingMutants,
  ...capabilityMutants,
]

const TIMEOUT_MS = 120_000

/** Name of the first case that the store does not pass. */
async function firstFailure(
  cases: readonly ContractCase[],
  spoil = (harness: Harness) => harness,
): Promise<string | undefined> {
  for (const one of cases) {
    const harness = await sharedMemoryHarness()
    try {
      await one.run(spoil(harness))
    } catch {
      return one.name
    } finally {
      await harness.destroy()
    }
  }
  return undefined
}

test('a healthy store that can do everything passes every case', { timeout: TIMEOUT_MS }, async () => {
  expect(await firstFailure(contractCases)).toBe(undefined)
})

test('every group of the contract has a mutant', () => {
  const groups = new Set(contractCases.map(({ group }) => group))

  expect(new Set(mutants.map(({ group }) => group))).toEqual(groups)
})

describe('a store is caught where', { concurrent: true }, () => {
  test.for(mutants.map((mutant) => [`${mutant.name} (${mutant.group})`, mutant] as const))(
    '%s',
    { timeout: TIMEOUT_MS },
    async ([, { group, spoil }]) => {
      const cases = contractCases.filter((one) => one.group === group)

      expect(await firstFailure(cases, spoil)).toBeDefined()
    },
  )
})
