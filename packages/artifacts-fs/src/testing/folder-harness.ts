import type { ContentId } from '@varve/store'
import { createTestClock, type ArtifactHarness } from '@varve/store-contract'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileArtifacts } from '../file-artifacts.ts'
import { artifactFolder } from '../layout.ts'

/** Artifacts in a folder of their own. */
export async function folderHarness(): Promise<ArtifactHarness> {
  const folder = await temporaryFolder()
  const clock = createTestClock()
  return {
    clock,
    durable: true,
    shared: true,
    open: async () => fileArtifacts({ folder, now: clock.now }),
    corrupt: async (id) => {
      const file = await bytesOf(folder, id)
      const bytes = await readFile(file)
      bytes.set([(bytes[0] ?? 0) ^ 1])
      await writeFile(file, bytes)
    },
    destroy: async () => rm(folder, { recursive: true }),
  }
}

/** The file that holds the bytes of an artifact. */
export async function bytesOf(folder: string, id: ContentId): Promise<string> {
  const artifact = artifactFolder(folder, id)
  const name = (await readdir(artifact)).find((each) => each.endsWith('.bytes'))
  return path.join(artifact, name ?? 'nothing')
}

/** A new folder; whoever asks for it deletes it. */
export async function temporaryFolder(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), 'varve-artifacts-'))
}
