export { describeArtifactStoreContract } from './describe-artifact-store-contract.ts'
export type { ArtifactHarness } from './artifact-contract.ts'
export { describeStoreContract } from './describe-store-contract.ts'
export { createTestClock } from './harness.ts'
export type { Harness, StoreInChild, TestClock } from './harness.ts'

// For those who run the cases without vitest's report.
export { contractCases } from './contract-cases.ts'
export type { ContractCase } from './contract-case.ts'

// For an adapter's own tests.
export { sampleEvents } from './sample-events.ts'
