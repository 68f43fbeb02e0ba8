import {
  checkLimit,
  checkOptions,
  checkWhole,
  isContentId,
  pageOf,
  readCursor,
  type ArtifactFilter,
  type ArtifactRow,
  type ContentId,
  type Page,
  type PageRequest,
} from '@varve/store'
import path from 'node:path'
import { describe } from './about.ts'
import { inBatches, onDisk, unless, type Place } from './disk.ts'
import { artifactFolder, artifactsFolder, idsAmong } from './layout.ts'

/** So many folders are looked into at once. */
const AT_ONCE = 32

/** A page of artifacts, by id. */
export async function list(place: Place, filter: ArtifactFilter, page: PageRequest): Promise<Page<ArtifactRow>> {
  checkOptions('the filter of a list', filter)
  checkOptions('the page of a list', page)
  const { unusedSince } = filter
  const { limit, cursor } = page
  checkLimit(limit)
  if (unusedSince !== undefined) checkWhole('unusedSince', unusedSince, Number.MIN_SAFE_INTEGER)
  const after = cursor === undefined ? undefined : readCursor(cursor, isContentId)
  const rows = await onDisk(async () => rowsAfter(place, after, { unusedSince, count: limit + 1 }))
  return pageOf(
    rows,
    limit,
    (row) => row,
    ({ id }) => id,
  )
}

interface Wanted {
  readonly unusedSince: number | undefined
  /** So many rows are enough. */
  readonly count: number
}

async function rowsAfter(
  place: Place,
  after: ContentId | undefined,
  { unusedSince, count }: Wanted,
): Promise<ArtifactRow[]> {
  const rows: ArtifactRow[] = []
  const first = after?.slice('sha256:'.length, 'sha256:'.length + 2) ?? ''
  const root = artifactsFolder(place.folder)
  const shards = (await unless(['ENOENT'], place.disk.readdir(root))) ?? []
  for (const shard of shards.filter((name) => name.length === 2 && name >= first).sort()) {
    const names = (await unless(['ENOENT', 'ENOTDIR'], place.disk.readdir(path.join(root, shard)))) ?? []
    const ids = idsAmong(names, shard).filter((id) => after === undefined || id > after)
    for (let at = 0; at < ids.length && rows.length < count; at += AT_ONCE) {
      const found = await inBatches(ids.slice(at, at + AT_ONCE), AT_ONCE, async (id) => rowOf(place, id))
      rows.push(...found.filter((row) => row !== undefined).filter(({ usedAt }) => usedAt < (unusedSince ?? Infinity)))
    }
    if (rows.length >= count) break
  }
  return rows
}

async function rowOf(place: Place, id: ContentId): Promise<ArtifactRow | undefined> {
  const found = await describe(place, artifactFolder(place.folder, id))
  if (found === null) return undefined
  const { kept, size } = found
  // One that is damaged must not hide all others: who reads it is told.
  const { mediaType, createdAt } = found.about ?? { mediaType: 'application/octet-stream', createdAt: kept.usedAt }
  return { id, size, mediaType, createdAt, usedAt: kept.usedAt }
}
