import {
  ARTIFACT_CHUNK_BYTES,
  artifactNotFound,
  checkContentId,
  checkContentIds,
  checkId,
  checkLimit,
  checkOptions,
  checkWhole,
  collectContent,
  contentId,
  isContentId,
  pageOf,
  readCursor,
  storedArtifact,
  type ArtifactFilter,
  type ArtifactRow,
  type ArtifactStore,
  type ContentId,
  type Page,
  type PageRequest,
} from '@varve/store'
import type { ArtifactRecord, Memory } from './memory.ts'

/** The artifacts. */
export function memoryArtifacts(memory: Memory): ArtifactStore {
  return {
    put: async (content, options = {}) => {
      memory.checkOpen()
      checkOptions('the options of a put', options)
      const { mediaType = 'application/octet-stream' } = options
      checkId('the media type', mediaType)
      // Nothing is kept before the last byte is here, and then all of it at once.
      return keep(memory, await collectContent(content), mediaType)
    },

    get: async (id) => {
      const { mediaType, bytes } = found(memory, id)
      return storedArtifact({ id, mediaType, size: bytes.byteLength }, () => chunksOf(memory, id))
    },

    has: async (id) => {
      memory.checkOpen()
      checkContentId(id)
      return memory.artifacts.has(id)
    },

    touch: async (ids, options = {}) => {
      memory.checkOpen()
      checkOptions('the options of a touch', options)
      checkContentIds(ids, 1)
      const there = ids.filter((id) => memory.artifacts.has(id))
      for (const id of there) use(memory, found(memory, id))
      return there
    },

    list: async (filter, page) => list(memory, filter, page),

    delete: async (id, options) => {
      memory.checkOpen()
      checkContentId(id)
      checkOptions('the options of a delete', options)
      const { ifUnusedSince } = options
      checkWhole('ifUnusedSince', ifUnusedSince, Number.MIN_SAFE_INTEGER)
      const usedAt = memory.artifacts.get(id)?.usedAt ?? Infinity
      return usedAt < ifUnusedSince && memory.artifacts.delete(id)
    },
  }
}

function keep(memory: Memory, bytes: Uint8Array, mediaType: string): ContentId {
  memory.checkOpen()
  const id = contentId(bytes)
  const kept = memory.artifacts.get(id)
  if (kept === undefined) {
    const now = memory.now()
    memory.artifacts.set(id, { bytes, mediaType, createdAt: now, usedAt: now })
    return id
  }
  kept.bytes = bytes
  use(memory, kept)
  return id
}

function use(memory: Memory, record: ArtifactRecord): void {
  record.usedAt = Math.max(record.usedAt, memory.now())
}

/** @throws StoreError `ARTIFACT_NOT_FOUND`. */
function found(memory: Memory, id: ContentId): ArtifactRecord {
  memory.checkOpen()
  checkContentId(id)
  const record = memory.artifacts.get(id)
  if (record === undefined) throw artifactNotFound(id)
  return record
}

/** Looks for the artifact anew before each chunk, as a database does: it may have been deleted meanwhile. */
async function* chunksOf(memory: Memory, id: ContentId): AsyncGenerator<Uint8Array> {
  let at = 0
  do {
    const { bytes } = found(memory, id)
    yield bytes.slice(at, at + ARTIFACT_CHUNK_BYTES)
    at += ARTIFACT_CHUNK_BYTES
    if (at >= bytes.byteLength) return
  } while (true)
}

function list(memory: Memory, filter: ArtifactFilter, page: PageRequest): Page<ArtifactRow> {
  memory.checkOpen()
  checkOptions('the filter of a list', filter)
  checkOptions('the page of a list', page)
  const { unusedSince } = filter
  checkLimit(page.limit)
  if (unusedSince !== undefined) checkWhole('unusedSince', unusedSince, Number.MIN_SAFE_INTEGER)
  const after = page.cursor === undefined ? '' : readCursor(page.cursor, isContentId)
  const rows = [...memory.artifacts]
    .filter(([id, { usedAt }]) => id > after && usedAt < (unusedSince ?? Infinity))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, { bytes, ...record }]): ArtifactRow => ({ id, size: bytes.byteLength, ...record }))
  return pageOf(
    rows,
    page.limit,
    (row) => row,
    ({ id }) => id,
  )
}
