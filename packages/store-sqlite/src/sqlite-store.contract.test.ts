import { describeStoreContract } from '@varve/store-contract'
import { fileHarness, memoryHarness } from './testing/sqlite-harness.ts'

describeStoreContract('sqlite', fileHarness)
describeStoreContract('sqlite in memory', memoryHarness)
