import { StoreError, type ContentId } from '@varve/store'
import { createHash, randomUUID } from 'node:crypto'
import { all, get, run, type Steps } from '../executor.ts'
import type { StoreParts } from '../store-parts.ts'
import type { ArtifactQueries, NameArgs } from './artifact-queries.ts'
import type { UploadQueries } from './upload-queries.ts'

type Queries = ArtifactQueries & UploadQueries

/**
 * Keeps a content of several chunks: chunk by chunk under the id of an upload, until the last one tells its name.
 *
 * Whoever deletes chunks has deleted the row of their upload before, in the same transaction, and naming deletes it too: so
 * nobody ever takes the chunks of what is named, and nothing is named whose chunks were taken.
 */
export async function uploadChunks(
  parts: StoreParts,
  queries: Queries,
  chunks: AsyncIterable<Uint8Array>,
  mediaType: string,
): Promise<ContentId> {
  const upload = randomUUID()
  const hash = createHash('sha256')
  let number = 0
  let size = 0
  await parts.executor.transaction('write', () => begin(queries, { upload, now: parts.now() }))
  try {
    for await (const bytes of chunks) {
      hash.update(bytes)
      size += bytes.byteLength
      const chunk = { upload, number: number++, bytes, now: parts.now() }
      await parts.executor.transaction('write', () => goOn(queries, chunk))
    }
    const id: ContentId = `sha256:${hash.digest('hex')}`
    const args = { id, upload, size, mediaType, now: parts.now() }
    await parts.executor.transaction('write', () => name(queries, args))
    return id
  } catch (error) {
    // What stays behind because this fails, too, is swept up by a later put.
    await parts.executor.transaction('write', () => giveUp(queries, upload)).catch(() => undefined)
    throw error
  }
}

function* begin(queries: Queries, args: { readonly upload: string; readonly now: number | null }): Steps<void> {
  for (const { id } of yield* all(queries.sweep, args)) yield* run(queries.deleteChunks, { upload: id })
  yield* run(queries.begin, args)
}

interface Chunk {
  readonly upload: string
  readonly number: number
  readonly bytes: Uint8Array
  readonly now: number | null
}

function* goOn(queries: Queries, chunk: Chunk): Steps<void> {
  if ((yield* run(queries.goOn, chunk)) === 0) throw givenUp()
  yield* run(queries.keep, chunk)
}

/** Of the bytes that have the name and these, those stay which have its hash. Whoever names the same waits for the row. */
function* name(queries: Queries, args: NameArgs): Steps<void> {
  const { upload, size } = args
  if ((yield* run(queries.end, { upload })) === 0) throw givenUp()
  const named = yield* get(queries.name, args)
  if (named === undefined || named.upload === upload) return
  const compared = yield* get(queries.compare, { upload, kept: named.upload })
  const isSound = named.size === size && compared?.differing === 0
  if (!isSound) yield* run(queries.replace, args)
  yield* run(queries.deleteChunks, { upload: isSound ? upload : named.upload })
}

function* giveUp(queries: Queries, upload: string): Steps<void> {
  if ((yield* run(queries.end, { upload })) > 0) yield* run(queries.deleteChunks, { upload })
}

function givenUp(): StoreError {
  const text = 'no chunk of the artifact came for a day, and it was given up meanwhile; put it again'
  return new StoreError('STORE_BUSY', text, { retryable: true })
}
