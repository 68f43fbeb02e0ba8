import {
  artifactNotFound,
  checkContentId,
  checkContentIds,
  checkId,
  checkedClock,
  checkNames,
  checkOptions,
  checkWhole,
  inChunks,
  shown,
  StoreError,
  storedArtifact,
  type ArtifactStore,
  type ContentId,
  type StoredArtifact,
} from '@varve/store'
import * as fs from 'node:fs/promises'
import path from 'node:path'
import { describe } from './about.ts'
import { inBatches, onDisk, retried, type Disk, type Place } from './disk.ts'
import { clear, discard, lookAt, remove, use } from './kept.ts'
import { artifactFolder } from './layout.ts'
import { list } from './listing.ts'
import { chunksOf, isWhole } from './reading.ts'
import { sweep, Upload } from './upload.ts'

/** Options of {@link fileArtifacts}. */
export interface FileArtifactsOptions {
  /** Where the artifacts are kept, on a local disk. Made by the first put. Any number of processes may share it. */
  readonly folder: string
  /** The store's clock, Unix milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/**
 * Artifacts as files in a folder. Opens nothing that would have to be closed.
 *
 * @throws StoreError `INVALID_ARGUMENT` for options that are none or that there are not, a folder without a name, and a `now` that is no function.
 */
export function fileArtifacts(options: FileArtifactsOptions): ArtifactStore {
  return artifactsOn(fs, options)
}

/** So many artifacts are touched at once. */
const AT_ONCE = 16

/** Artifacts on this file system. */
export function artifactsOn(disk: Disk, options: FileArtifactsOptions): ArtifactStore {
  checkOptions('the options of artifacts in files', options)
  checkNames('artifacts in files', options, { folder: true, now: true })
  const { folder, now = Date.now } = options
  if (typeof folder !== 'string' || folder === '') {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `folder must name the folder in which to keep artifacts, got ${shown(folder)}`,
    )
  }
  // Resolved here, so that a process that changes its folder does not change this one.
  const place: Place = { disk, folder: path.resolve(folder), now: checkedClock(now) }
  const folderOf = (id: ContentId): string => {
    checkContentId(id)
    return artifactFolder(place.folder, id)
  }
  return {
    put: async (content, given = {}) => {
      checkOptions('the options of a put', given)
      const { mediaType = 'application/octet-stream' } = given
      checkId('the media type', mediaType)
      return put(place, content, mediaType)
    },
    get: async (id) => get(place, folderOf(id), id),
    has: async (id) => {
      const artifact = folderOf(id)
      return onDisk(async () => (await lookAt(disk, artifact)).kept !== undefined)
    },
    touch: async (ids, given = {}) => {
      checkOptions('the options of a touch', given)
      checkContentIds(ids, 1)
      const used = await onDisk(async () => inBatches(ids, AT_ONCE, async (id) => use(place, folderOf(id))))
      return ids.filter((_, i) => used[i])
    },
    list: async (filter, page) => list(place, filter, page),
    delete: async (id, given) => {
      checkOptions('the options of a delete', given)
      const { ifUnusedSince } = given
      const artifact = folderOf(id)
      checkWhole('ifUnusedSince', ifUnusedSince, Number.MIN_SAFE_INTEGER)
      return onDisk(async () => remove(place, artifact, ifUnusedSince))
    },
  }
}

async function put(place: Place, content: unknown, mediaType: string): Promise<ContentId> {
  const chunks = inChunks(content)
  try {
    // Before anything of the disk is waited for: a stream that fails while nobody listens to it ends the process.
    const first = await chunks.next()
    return await upload(place, continued(first, chunks), mediaType)
  } finally {
    await chunks.return()
  }
}

async function* continued(
  { value, done }: IteratorResult<Uint8Array, void>,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (done === true) return
  yield value
  yield* rest
}

async function upload(place: Place, chunks: AsyncIterable<Uint8Array>, mediaType: string): Promise<ContentId> {
  const started = await onDisk(async () => {
    await sweep(place)
    return Upload.start(place)
  })
  try {
    const received = await started.receive(chunks)
    return await onDisk(async () => keep(place, started, { ...received, mediaType }))
  } finally {
    await onDisk(async () => started.discard())
  }
}

interface Received {
  readonly id: ContentId
  readonly size: number
  readonly mediaType: string
}

/**
 * What is there already is used; what is not, or is damaged, is published. Whatever comes in between makes it look again. Damaged bytes
 * go when these are safe on the disk: a process that dies then leaves no artifact, where there was none that could be read.
 */
async function keep(place: Place, upload: Upload, { id, size, mediaType }: Received): Promise<ContentId> {
  const folder = artifactFolder(place.folder, id)
  let usedAt = -Infinity
  return retried(async () => {
    const found = await describe(place, folder)
    const isKept = found === null ? false : await isWhole(place, id, found.kept, size)
    if (isKept === undefined) return undefined
    if (isKept && found?.about !== undefined) return (await use(place, folder)) ? id : undefined
    await upload.complete(found?.about ?? { mediaType, createdAt: place.now() })
    if (found !== null) {
      if (!(await discard(place, folder, found.kept))) return undefined
      usedAt = Math.max(usedAt, found.kept.usedAt)
    }
    if (await upload.publish(folder, usedAt)) return id
    const { kept, leftovers } = await lookAt(place.disk, folder)
    if (kept === undefined) await clear(place.disk, folder, leftovers)
    return undefined
  })
}

async function get(place: Place, folder: string, id: ContentId): Promise<StoredArtifact> {
  const found = await onDisk(async () => describe(place, folder))
  if (found === null) throw artifactNotFound(id)
  if (found.about === undefined) throw aboutDamaged(id)
  return storedArtifact({ id, size: found.size, mediaType: found.about.mediaType }, () => chunksOf(place, id))
}

function aboutDamaged(id: ContentId): StoreError {
  const text = `what says what ${id} is has been damaged; restore it from a backup, or put it again`
  return new StoreError('ARTIFACT_CORRUPT', text, { artifact: id })
}
