import { describeArtifactStoreContract } from '@varve/store-contract'
import { folderHarness } from './testing/folder-harness.ts'

describeArtifactStoreContract('artifacts in a folder', folderHarness)
