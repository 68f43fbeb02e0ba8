import type { ArtifactRef } from '@varve/kernel'
import type { ArtifactStore } from '@varve/store'
import type { Manifest } from '../manifest/manifest.ts'
import { storeWriter } from './store-artifacts.ts'

/** Keeps a manifest, before the run that it is of. */
export async function putManifest(artifacts: ArtifactStore, manifest: Manifest): Promise<ArtifactRef> {
  return storeWriter(artifacts).putJson(manifest)
}
