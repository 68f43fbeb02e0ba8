import path from 'node:path'
import { inBatches, retried, succeeds, syncFolder, unless, type Disk, type Place } from './disk.ts'
import { aboutFile, bytesFile, keptAs, type Kept } from './layout.ts'

/**
 * What one look into the folder of an artifact shows. Its two files come at once and its bytes go first: without bytes
 * the artifact is not there, and all other names are what its deletion left behind.
 */
export interface Look {
  readonly kept?: Kept
  readonly leftovers: readonly string[]
}

/** Looks whether an artifact is there. */
export async function lookAt(disk: Disk, folder: string): Promise<Look> {
  const first = await lookOnce(disk, folder)
  // Some file systems may show neither name of a file that is renamed during the look.
  return first.kept === undefined && first.leftovers.length > 0 ? lookOnce(disk, folder) : first
}

async function lookOnce(disk: Disk, folder: string): Promise<Look> {
  const names = (await unless(['ENOENT'], namesIn(disk, folder))) ?? []
  const found = names.map(keptAs).filter((each) => each !== undefined)
  const kept = found.toSorted((a, b) => b.usedAt - a.usedAt)[0]
  return kept === undefined ? { leftovers: names } : { kept, leftovers: [] }
}

/** A file in the place of the folder has none, and must not hide all other artifacts; one further up is no folder of artifacts. */
async function namesIn(disk: Disk, folder: string): Promise<readonly string[]> {
  const names = await unless(['ENOTDIR'], disk.readdir(folder))
  if (names === undefined) await disk.stat(folder)
  return names ?? []
}

/**
 * Marks an artifact as used now, so that it survives a power failure: the rename fails if a deletion or another use came
 * first.
 *
 * @returns whether it is there.
 */
export async function use({ disk, now }: Place, folder: string): Promise<boolean> {
  const usedAt = now()
  const isThere = await retried(async () => {
    const { kept } = await lookAt(disk, folder)
    if (kept === undefined) return false
    if (kept.usedAt >= usedAt) return true
    const used = disk.rename(bytesFile(folder, kept), bytesFile(folder, { ...kept, usedAt }))
    return (await succeeds(['ENOENT'], used)) ? true : undefined
  })
  if (isThere) await syncFolder(disk, folder)
  return isThere
}

/**
 * Takes damaged bytes away, and nothing else: their name says which put brought them, and no later bytes have it.
 *
 * @returns false when they were not there by that name any more.
 */
export async function discard({ disk }: Place, folder: string, damaged: Kept): Promise<boolean> {
  return succeeds(['ENOENT'], removeName(disk, bytesFile(folder, damaged)))
}

/** Deletes an artifact unless it was used: the name that is unlinked says when that was. @returns whether it did. */
export async function remove({ disk }: Place, folder: string, ifUnusedSince: number): Promise<boolean> {
  return retried(async () => {
    const { kept, leftovers } = await lookAt(disk, folder)
    if (kept === undefined) await clear(disk, folder, leftovers)
    if (kept === undefined || kept.usedAt >= ifUnusedSince) return false
    if (!(await succeeds(['ENOENT'], removeName(disk, bytesFile(folder, kept))))) return undefined
    await clear(disk, folder, [path.basename(aboutFile(folder, kept.upload))])
    return true
  })
}

/** Removes what a deletion left behind, by names that no later artifact has, and the folder when it is empty or none. */
export async function clear(disk: Disk, folder: string, leftovers: readonly string[]): Promise<void> {
  await inBatches(leftovers, 1, async (name) => unless(['ENOENT'], removeName(disk, path.join(folder, name))))
  const isFolder = await succeeds(['ENOTDIR'], unless(['ENOENT', 'ENOTEMPTY', 'EEXIST'], disk.rmdir(folder)))
  // Unless it has become an artifact's meanwhile, which no unlink takes away.
  if (!isFolder) await unless(['ENOENT', 'EISDIR', 'EPERM'], disk.unlink(folder))
}

/** An empty folder in the place of a file goes like one: nothing could be put there again otherwise. */
async function removeName(disk: Disk, file: string): Promise<void> {
  try {
    await disk.unlink(file)
  } catch (error) {
    // Of a folder some systems say that it is not permitted, as they do of a file that must stay.
    if (!(await succeeds(['ENOTDIR', 'ENOENT'], disk.rmdir(file)))) throw error
  }
}
