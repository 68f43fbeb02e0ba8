import {
  artifactCorrupt,
  artifactNotFound,
  ARTIFACT_CHUNK_BYTES,
  checkContentId,
  checkContentIds,
  checkId,
  checkLimit,
  checkOptions,
  checkWhole,
  contentId,
  inChunks,
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
import { randomUUID } from 'node:crypto'
import { get, run, type Steps } from '../executor.ts'
import type { ArtifactsTable } from '../schema.ts'
import { settledOn, type StoreParts } from '../store-parts.ts'
import { artifactQueries, type ArtifactQueries } from './artifact-queries.ts'
import { uploadQueries, type UploadQueries } from './upload-queries.ts'
import { uploadChunks } from './upload.ts'

type Queries = ArtifactQueries & UploadQueries

/** The artifacts. */
export function sqlArtifacts(parts: StoreParts): ArtifactStore {
  const queries = { ...artifactQueries(parts.dialect), ...uploadQueries(parts.dialect) }
  const unflushedTouch = parts.dialect.unflushed(queries.touch)
  return {
    put: async (content, options = {}) => {
      checkOptions('the options of a put', options)
      const { mediaType = 'application/octet-stream' } = options
      return put(parts, queries, content, mediaType)
    },
    get: async (id) => {
      const record = await find(parts, queries, id)
      if (record === undefined) throw artifactNotFound(id)
      const { size, media_type: mediaType } = record
      return storedArtifact({ id, size, mediaType }, () => readChunks(parts, queries, id, size))
    },
    has: async (id) => (await find(parts, queries, id)) !== undefined,
    touch: async (ids, options = {}) => {
      checkOptions('the options of a touch', options)
      checkContentIds(ids, 1)
      const { durable = true } = options
      const args = { ids: parts.dialect.list(ids), now: parts.now() }
      const there = new Set<string>(
        (await parts.executor.all(durable ? queries.touch : unflushedTouch, args)).map(({ id }) => id),
      )
      return ids.filter((id) => there.has(id))
    },
    list: async (filter, page) => list(parts, queries, filter, page),
    delete: async (id, options) => {
      checkContentId(id)
      checkOptions('the options of a delete', options)
      const { ifUnusedSince } = options
      checkWhole('ifUnusedSince', ifUnusedSince, Number.MIN_SAFE_INTEGER)
      return parts.executor.transaction('write', () => remove(queries, { id, ifUnusedSince }))
    },
  }
}

async function put(
  parts: StoreParts,
  queries: Queries,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  mediaType: string,
): Promise<ContentId> {
  checkId('the media type', mediaType)
  if (content instanceof Uint8Array && content.byteLength <= ARTIFACT_CHUNK_BYTES) {
    // A copy: the driver may send it later than now.
    return putChunk(parts, queries, new Uint8Array(content), mediaType)
  }
  const chunks = inChunks(content)
  try {
    const first = await chunks.next()
    const second = await chunks.next()
    if (first.done === true || second.done === true) {
      return await putChunk(parts, queries, first.value ?? new Uint8Array(), mediaType)
    }
    return await uploadChunks(parts, queries, continued([first.value, second.value], chunks), mediaType)
  } finally {
    await chunks.return()
  }
}

async function* continued(
  begun: Uint8Array[],
  rest: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): AsyncGenerator<Uint8Array> {
  for (let chunk = begun.shift(); chunk !== undefined; chunk = begun.shift()) yield chunk
  yield* rest
}

/** One write for what fits into one chunk, unless something else has its name. */
async function putChunk(parts: StoreParts, queries: Queries, bytes: Uint8Array, mediaType: string): Promise<ContentId> {
  const id = contentId(bytes)
  const args = { id, bytes, size: bytes.byteLength, mediaType, upload: randomUUID(), now: parts.now() }
  const isKept = await settledOn(`artifact ${id}`, {}, 'STORE_BUSY', async () => {
    if (await parts.writes.putArtifact(args)) return true
    // What was kept a moment ago may be out of sight of the statement that met it.
    const seen = await parts.executor.get(queries.same, args)
    return seen === undefined ? undefined : seen.same === 1
  })
  return isKept ? id : uploadChunks(parts, queries, continued([bytes], []), mediaType)
}

async function find(parts: StoreParts, queries: Queries, id: ContentId): Promise<ArtifactsTable | undefined> {
  checkContentId(id)
  return parts.executor.get(queries.get, { id })
}

async function* readChunks(
  parts: StoreParts,
  queries: Queries,
  id: ContentId,
  size: number,
): AsyncGenerator<Uint8Array> {
  let read = 0
  for (let number = 0; number === 0 || read < size; number++) {
    const record = await parts.executor.get(queries.chunk, { id, number })
    if (record === undefined) throw artifactNotFound(id)
    if (record.bytes === null) throw artifactCorrupt(id)
    read += record.bytes.byteLength
    yield ownBytes(record.bytes)
  }
}

/** Drivers answer subclasses, and sometimes a part of memory that is theirs: then a copy. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes)
}

async function list(
  parts: StoreParts,
  queries: Queries,
  filter: ArtifactFilter,
  page: PageRequest,
): Promise<Page<ArtifactRow>> {
  checkOptions('the filter of a list', filter)
  checkOptions('the page of a list', page)
  const { unusedSince = Number.MAX_SAFE_INTEGER } = filter
  const { limit, cursor } = page
  checkLimit(limit)
  checkWhole('unusedSince', unusedSince, Number.MIN_SAFE_INTEGER)
  const after = cursor === undefined ? '' : readCursor(cursor, isContentId)
  const found = await parts.executor.all(queries.list, { after, unusedSince, limit: limit + 1 })
  return pageOf(found, limit, rowOf, ({ id }) => id)
}

function rowOf({ id, size, media_type, created_at, used_at }: ArtifactsTable): ArtifactRow {
  return { id: id as ContentId, size, mediaType: media_type, createdAt: created_at, usedAt: used_at }
}

/** A put at the same time waits for the row: it either keeps the artifact, or comes after and makes it anew. */
function* remove(queries: Queries, args: { readonly id: string; readonly ifUnusedSince: number }): Steps<boolean> {
  const deleted = yield* get(queries.delete, args)
  if (deleted === undefined) return false
  yield* run(queries.deleteChunks, deleted)
  return true
}
