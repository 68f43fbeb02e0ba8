import { ActionError } from '@varve/kernel'
import { canonicalJson, contentId, isContentId, isStoreError, type ArtifactStore, type ContentId } from '@varve/store'
import { verified } from '../cache/verified.ts'
import type { ArtifactWriter } from './keep-output.ts'

/**
 * Artifacts of which a damaged one is replaced by whoever has its bytes: who makes again what was kept, and was damaged since,
 * leaves it whole. A stream cannot be read twice: its put is refused by the store as it is.
 */
export function mendingArtifacts(artifacts: ArtifactStore): ArtifactStore {
  return {
    put: async (content, options) => {
      const put = async (): Promise<ContentId> => artifacts.put(content, options)
      return content instanceof Uint8Array ? mended(artifacts, put, () => contentId(content)) : put()
    },
    get: async (id) => artifacts.get(id),
    has: async (id) => artifacts.has(id),
    touch: async (ids, options) => artifacts.touch(ids, options),
    list: async (filter, page) => artifacts.list(filter, page),
    delete: async (id, options) => artifacts.delete(id, options),
  }
}

/**
 * What an attempt keeps artifacts by, on whatever kernel it runs, with those replaced that are damaged. Of a stream the damaged bytes
 * are taken away when it has shown that it has theirs; it has to be made again then, see {@link wantsAgain}.
 */
export function mendingWriter(writer: ArtifactWriter, artifacts: ArtifactStore): ArtifactWriter {
  return {
    put: async (content, options) => {
      if (typeof content !== 'string' && !(content instanceof Uint8Array)) {
        const read = endingStream(content)
        return writer.put(read.chunks, options).catch(async (error: unknown) => {
          const id = refusedId(error)
          // Amid the stream it may be of what this is made from.
          if (id === undefined || !read.isOver()) throw error
          await makeWay(artifacts, id)
          const text = `what was kept as ${id} was damaged, and is gone; what the stream has given was not kept in its place: make it again`
          throw new ActionError('transient', text, { code: WAY_MADE, cause: error })
        })
      }
      return mended(
        artifacts,
        async () => writer.put(content, options),
        () => contentId(content),
      )
    },
    putJson: async (value) =>
      mended(
        artifacts,
        async () => writer.putJson(value),
        () => contentId(canonicalJson(value ?? null)),
      ),
  }
}

const WAY_MADE = 'ARTIFACT_CORRUPT'

/** True when a stream that a {@link mendingWriter} was given would be kept if it was made again. */
export function wantsAgain(error: unknown): boolean {
  return error instanceof ActionError && error.code === WAY_MADE
}

async function mended<T>(artifacts: ArtifactStore, put: () => Promise<T>, name: () => ContentId): Promise<T> {
  try {
    return await put()
  } catch (error) {
    if (!isRefused(error)) throw error
    await makeWay(artifacts, name())
    return put()
  }
}

function isRefused(error: unknown): boolean {
  return isStoreError(error, 'ARTIFACT_CORRUPT')
}

/** Looks again before it takes away what is damaged: another process may have replaced it meanwhile. */
async function makeWay(artifacts: ArtifactStore, id: ContentId): Promise<void> {
  if (await verified(artifacts, id)) return
  await artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
}

/** Which artifact a put was refused for. */
function refusedId(error: unknown): ContentId | undefined {
  return isStoreError(error, 'ARTIFACT_CORRUPT') && isContentId(error.where.artifact) ? error.where.artifact : undefined
}

/** A stream that tells whether it was read to its end. */
function endingStream(stream: AsyncIterable<Uint8Array>) {
  let isOver = false
  const chunks = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield* stream
    isOver = true
  }
  return { chunks: chunks(), isOver: () => isOver }
}
