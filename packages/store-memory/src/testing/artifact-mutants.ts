import {
  artifactCorrupt,
  collectContent,
  contentId,
  isStoreError,
  storedArtifact,
  StoreError,
  type ContentId,
  type Store,
  type StoredArtifact,
} from '@varve/store'
import type { Harness } from '@varve/store-contract'
import { opening, pause, spoiling, unless, type Mutant } from './mutant.ts'

type Artifacts = Store['artifacts']

const MIB = 1024 * 1024

/** Everything of a stream as it is then: chunks that share a buffer become alike. */
export async function whole(content: Uint8Array | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A store that keeps something else of a stream than it was given. */
function hearing(
  hear: (stream: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): (healthy: Artifacts) => Partial<Artifacts> {
  return (healthy) => ({
    put: async (content, options) =>
      healthy.put(content instanceof Uint8Array || !isStream(content) ? content : hear(content), options),
  })
}

function isStream(content: unknown): content is AsyncIterable<Uint8Array> {
  return typeof content === 'object' && content !== null && Symbol.asyncIterator in content
}

/** A store whose artifacts are given out in another way. */
function giving(give: (artifact: StoredArtifact) => Partial<StoredArtifact>) {
  return (healthy: Artifacts): Partial<Artifacts> => ({
    get: async (id) => {
      const artifact = await healthy.get(id)
      return { ...artifact, ...give(artifact) }
    },
  })
}

/** What is put where something corrupt is kept. */
interface Meeting {
  readonly id: ContentId
  readonly bytes: Uint8Array
  readonly given: unknown
  readonly options: Parameters<Artifacts['put']>[1]
}

/** A store that puts what it keeps corrupt in another way. */
function meetingCorrupt(meet: (healthy: Artifacts, meeting: Meeting) => Promise<ContentId>) {
  return (healthy: Artifacts): Partial<Artifacts> => ({
    put: async (given, options) => {
      const bytes = await collectContent(given)
      const id = contentId(bytes)
      if (!(await isCorrupt(healthy, id))) return healthy.put(bytes, options)
      return meet(healthy, { id, bytes, given, options })
    },
  })
}

async function isCorrupt(artifacts: Artifacts, id: ContentId): Promise<boolean> {
  if (!(await artifacts.has(id))) return false
  return unless(
    'ARTIFACT_CORRUPT',
    async () => (await artifacts.get(id)).bytes().then(() => false),
    async () => true,
  )
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += MIB) yield bytes.slice(at, at + MIB)
}

/** A stream that may be read many times. */
function streaming(read: () => AsyncGenerator<Uint8Array>): Pick<StoredArtifact, 'stream'> {
  return { stream: () => ({ [Symbol.asyncIterator]: read }) }
}

const wrongPuts = spoiling('artifacts', 'artifacts', {
  'a stream that throws leaves what came before': hearing(async function* (stream) {
    try {
      for await (const chunk of stream) yield chunk
    } catch {
      // As if it had ended.
    }
  }),
  'a stream that throws is kept all the same': (healthy) => ({
    put: async (content, options) => {
      const seen: Uint8Array[] = []
      const watched = async function* (stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const chunk of stream) {
          if (chunk instanceof Uint8Array) seen.push(Uint8Array.from(chunk))
          yield chunk
        }
      }
      if (!isStream(content)) return healthy.put(content, options)
      return healthy.put(watched(content), options).catch(async (error: unknown) => {
        await healthy.put(Buffer.concat(seen), options)
        throw error
      })
    },
  }),
  "the producer's error becomes one of the store": (healthy) => ({
    put: async (content, options) =>
      healthy.put(content, options).catch((error: unknown) => {
        throw error instanceof StoreError ? error : new StoreError('STORE_FAILED', 'the stream broke', { cause: error })
      }),
  }),
  'chunks of a stream are taken without a copy': (healthy) => ({
    put: async (content, options) => healthy.put(isStream(content) ? await whole(content) : content, options),
  }),
  'a stream ends with its first empty chunk': hearing(async function* (stream) {
    for await (const chunk of stream) {
      if (chunk.byteLength === 0) return
      yield chunk
    }
  }),
  'what does not fill a block is lost': hearing(async function* (stream) {
    const bytes = await whole(stream)
    yield bytes.subarray(0, bytes.byteLength > MIB ? bytes.byteLength - (bytes.byteLength % 512) : bytes.byteLength)
  }),
  'an empty artifact is refused': (healthy) => ({
    put: async (content, options) => {
      const bytes = content instanceof Uint8Array ? content : undefined
      if (bytes?.byteLength === 0) throw new StoreError('INVALID_ARGUMENT', 'there is nothing to keep')
      return healthy.put(content, options)
    },
  }),
  'the whole buffer is kept for a part of it': (healthy) => ({
    put: async (content, options) =>
      healthy.put(content instanceof Uint8Array ? new Uint8Array(content.buffer) : content, options),
  }),
  'text is taken for bytes': (healthy) => ({
    put: async (content, options) => healthy.put(typeof content === 'string' ? Buffer.from(content) : content, options),
  }),
  'text in a stream is taken for bytes': hearing(async function* (stream) {
    for await (const chunk of stream) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
  }),
  'streams are read to their end, whatever they yield': (healthy) => ({
    put: async (content, options) => {
      if (!isStream(content)) return healthy.put(content, options)
      const chunks: Uint8Array[] = []
      const all = content[Symbol.asyncIterator]()
      for (let next = await all.next(); next.done !== true && chunks.length < 10_000; next = await all.next()) {
        chunks.push(next.value instanceof Uint8Array ? Uint8Array.from(next.value) : next.value)
      }
      return healthy.put(
        (async function* () {
          yield* chunks
        })(),
        options,
      )
    },
  }),
  'an artifact is there before its last byte': (healthy) => ({
    put: async (content, options) => {
      if (!isStream(content)) return healthy.put(content, options)
      const partial = async function* (stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        let staged: ContentId | undefined
        for await (const chunk of stream) {
          staged ??= chunk instanceof Uint8Array ? await healthy.put(chunk) : undefined
          yield chunk
        }
        if (staged !== undefined) await healthy.delete(staged, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      }
      return healthy.put(partial(content), options)
    },
  }),
  'of many puts at once all but one fail': (healthy) => {
    const under = new Set<ContentId>()
    return {
      put: async (content, options) => {
        if (!(content instanceof Uint8Array)) return healthy.put(content, options)
        const id = contentId(content)
        if (under.has(id)) throw new StoreError('STORE_BUSY', 'somebody puts the same')
        under.add(id)
        try {
          await pause()
          return await healthy.put(content, options)
        } finally {
          under.delete(id)
        }
      },
    }
  },
  'the last media type stays': (healthy) => {
    const last = new Map<ContentId, string>()
    return {
      put: async (content, options) => {
        const id = await healthy.put(content, options)
        last.set(id, options?.mediaType ?? 'application/octet-stream')
        return id
      },
      get: async (id) => {
        const artifact = await healthy.get(id)
        return { ...artifact, mediaType: last.get(id) ?? artifact.mediaType }
      },
    }
  },
  'options that are none are taken for the defaults': (healthy) => ({
    put: async (content, options: unknown) =>
      healthy.put(content, typeof options === 'object' && options !== null ? options : undefined),
  }),
  'a media type may be empty': (healthy) => ({
    put: async (content, options) => healthy.put(content, options?.mediaType === '' ? undefined : options),
  }),
  'the name is not that of the content': (healthy) => ({
    put: async (content, options) => {
      await healthy.put(content, options)
      return contentId('a name')
    },
  }),
})

const wrongReads = spoiling('artifacts', 'artifacts', {
  'bytes are not checked': giving((artifact) => ({
    bytes: async () =>
      unless(
        'ARTIFACT_CORRUPT',
        async () => artifact.bytes(),
        async () => new Uint8Array(artifact.size),
      ),
  })),
  'a stream is checked behind its last chunk': giving((artifact) =>
    streaming(async function* () {
      const chunks: Uint8Array[] = []
      try {
        for await (const chunk of artifact.stream()) {
          chunks.push(chunk)
          yield chunk
        }
      } catch (error) {
        yield new Uint8Array(artifact.size - chunks.reduce((sum, { byteLength }) => sum + byteLength, 0))
        throw error
      }
    }),
  ),
  'a stream comes in one piece': giving((artifact) =>
    streaming(async function* () {
      if (artifact.size > 0) yield await artifact.bytes()
    }),
  ),
  'a stream can be read once': giving((artifact) => {
    const stream = (async function* () {
      yield* artifact.stream()
    })()
    return { stream: () => stream }
  }),
  'it hands out its own memory': (healthy) => {
    const own = new Map<ContentId, Uint8Array>()
    return {
      get: async (id) => {
        const artifact = await healthy.get(id)
        const bytes = async (): Promise<Uint8Array> => {
          const read = own.get(id) ?? (await artifact.bytes())
          own.set(id, read)
          return read
        }
        return { ...artifact, bytes }
      },
    }
  },
  'what was deleted can still be read': (healthy) => ({
    get: async (id) => {
      const artifact = await healthy.get(id)
      const bytes = await artifact.bytes().catch(() => new Uint8Array())
      return storedArtifact(artifact, () => pieces(bytes))
    },
  }),
  'what is not there is empty': (healthy) => ({
    get: async (id) =>
      unless(
        'ARTIFACT_NOT_FOUND',
        async () => healthy.get(id),
        async () =>
          storedArtifact({ id, size: 0, mediaType: 'application/octet-stream' }, () => pieces(new Uint8Array())),
      ),
  }),
  'any text is an id': (healthy) => ({
    has: async (id) =>
      unless(
        'INVALID_ARGUMENT',
        async () => healthy.has(id),
        async () => false,
      ),
  }),
  'what is corrupt is not named': giving((artifact) => ({
    bytes: async () => {
      try {
        return await artifact.bytes()
      } catch (error) {
        throw isStoreError(error, 'ARTIFACT_CORRUPT') ? new StoreError('ARTIFACT_CORRUPT', 'something is') : error
      }
    },
  })),
  'a put of what is kept corrupt is refused': meetingCorrupt(async (_, { id }) => {
    throw artifactCorrupt(id)
  }),
  'a put leaves what is kept corrupt as it is': meetingCorrupt(async (_, { id }) => id),
  'a stream leaves what is kept corrupt as it is': meetingCorrupt(async (healthy, { id, bytes, given }) =>
    given instanceof Uint8Array ? healthy.put(bytes) : id,
  ),
  'what takes the place of something corrupt has a media type of its own': meetingCorrupt(
    async (healthy, { id, bytes, options }) => {
      await healthy.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      return healthy.put(bytes, options)
    },
  ),
  'who mends what is corrupt takes away what another one has mended': (healthy) => {
    let others = 0
    return meetingCorrupt(async (_, { id, bytes }) => {
      const { mediaType } = await healthy.get(id)
      for (let turn = others++; turn >= 0; turn--) await pause()
      await healthy.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER })
      await pause()
      return healthy.put(bytes, { mediaType })
    })(healthy)
  },
})

const others: readonly Mutant[] = [
  {
    group: 'artifacts',
    name: 'the harness cannot corrupt',
    spoil: ({ corruptArtifact: _, ...harness }: Harness) => harness,
  },
  {
    group: 'artifacts',
    name: 'every handle has artifacts of its own',
    spoil: (harness) => {
      let handles = 0
      return opening((store) => {
        const mine = ++handles
        const own = new Set<ContentId>()
        const put: Artifacts['put'] = async (content, options) => {
          const id = await store.artifacts.put(content, options)
          own.add(id)
          return id
        }
        const has: Artifacts['has'] = async (id) => (await store.artifacts.has(id)) && (mine === 1 || own.has(id))
        const get: Artifacts['get'] = async (id) => {
          if (await has(id)) return store.artifacts.get(id)
          throw new StoreError('ARTIFACT_NOT_FOUND', 'another handle has it')
        }
        return { ...store, artifacts: { ...store.artifacts, put, has, get } }
      })(harness)
    },
  },
]

/** Stores that are wrong in how they keep artifacts. */
export const artifactMutants: readonly Mutant[] = [...wrongPuts, ...wrongReads, ...others]
