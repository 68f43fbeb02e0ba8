import { createHash } from 'node:crypto'
import { canonicalJson, isContentId, isStoreError, type ContentId, type Json, type StoredArtifact } from '@varve/store'
import type { ActionArtifacts } from '../artifacts/action-artifacts.ts'
import { isArtifactRef } from '../artifacts/artifact-ref.ts'
import { KernelError, textOf } from '../errors.ts'
import { searchBytes } from '../secrets/search-bytes.ts'
import { repeatable } from './append.ts'
import type { Environment } from './environment.ts'

/** Whose artifacts they are. */
export interface ArtifactsParts {
  readonly runId: string
  readonly key: string
  /** Aborted when the attempt is, and when it is over. Most handlers put nothing: it is made for those that do. */
  readonly signal: () => AbortSignal
  /** A value as it may be kept. */
  readonly clean: (value: unknown) => Json
  /** Texts that must not stand in what is put. */
  readonly secrets: readonly string[]
}

type ArtifactsEnvironment = Pick<Environment, 'artifacts' | 'clock' | 'limits'>

/** The artifacts of a kernel, as one attempt reaches them. */
export function attemptArtifacts(env: ArtifactsEnvironment, parts: ArtifactsParts): ActionArtifacts {
  const get = async (artifact: Parameters<ActionArtifacts['get']>[0]): Promise<StoredArtifact> => {
    const id = idOf(parts, artifact)
    return boundArtifact(await repeatable(env, () => env.artifacts.get(id)), parts.signal())
  }
  const put: ActionArtifacts['put'] = (content, options = {}) =>
    bound(parts.signal(), async () => {
      const { mediaType = typeof content === 'string' ? 'text/plain;charset=utf-8' : 'application/octet-stream' } =
        options
      const bytes = bytesOf(parts, content)
      const check = secretCheck(parts)
      if (bytes !== undefined) check(bytes)
      const kept =
        bytes === undefined
          ? putStream(env, content as Chunks, { mediaType, signal: parts.signal(), check })
          : putBytes(env, bytes, mediaType)
      return { ...(await kept), mediaType }
    })
  return {
    put,
    putJson: (value) =>
      bound(parts.signal(), async () => {
        const text = canonicalJson(parts.clean(value ?? null), { name: 'artifact', maxDepth: env.limits.depth })
        const mediaType = 'application/json'
        return { ...(await putBytes(env, Buffer.from(text), mediaType)), mediaType }
      }),
    get: (artifact) => bound(parts.signal(), () => get(artifact)),
    json: (artifact) =>
      bound(parts.signal(), async () => {
        const stored = await get(artifact)
        return parsed(parts, stored.id, await repeatable(env, () => stored.bytes()))
      }),
  }
}

type Chunks = AsyncIterable<Uint8Array>

/** Answers what `act` does unless the signal is aborted first. Whoever does not wait for it must not bring the process down. */
function bound<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  const answer = new Promise<T>((resolve, reject) => {
    signal.throwIfAborted()
    const abort = (): void => {
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', abort, { once: true })
    void act()
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener('abort', abort)
      })
  })
  answer.catch(() => undefined)
  return answer
}

function boundArtifact(stored: StoredArtifact, signal: AbortSignal): StoredArtifact {
  const { id, size, mediaType } = stored
  return {
    ...{ id, size, mediaType },
    bytes: () => bound(signal, () => stored.bytes()),
    stream: () => boundChunks(stored.stream(), signal),
  }
}

/** What of a stream comes before the signal is aborted. The stream is told that nobody wants more. */
async function* boundChunks(stream: Chunks, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = stream[Symbol.asyncIterator]()
  let whole = false
  try {
    for (;;) {
      const next = await bound(signal, () => chunks.next())
      whole = next.done === true
      if (next.done === true) return
      yield next.value
    }
  } finally {
    // Not waited for: it may be that the stream does not come to an end at all.
    if (!whole) void Promise.resolve(chunks.return?.()).catch(() => undefined)
  }
}

/** Bytes cannot be redacted: what they mean would change. @throws KernelError `INVALID_INPUT`, from what it returns. */
function secretCheck({ runId, key, secrets }: ArtifactsParts): (chunk: unknown) => void {
  const isFound = searchBytes(secrets)
  return (chunk) => {
    if (!(chunk instanceof Uint8Array) || !isFound(chunk)) return
    const text = `an artifact of ${key} of run ${runId} would hold a secret of the action's input; leave it out of what is put`
    throw new KernelError('INVALID_INPUT', text, { runId, key })
  }
}

interface Kept {
  readonly $artifact: ContentId
  readonly size: number
}

/** The same bytes are the same artifact, so a put may be repeated. */
async function putBytes(env: ArtifactsEnvironment, bytes: Uint8Array, mediaType: string): Promise<Kept> {
  const $artifact = await repeatable(env, () => env.artifacts.put(bytes, { mediaType }))
  return { $artifact, size: bytes.byteLength }
}

interface StreamOptions {
  readonly mediaType: string
  readonly signal: AbortSignal
  /** Throws for a chunk that must not be kept. */
  readonly check: (chunk: unknown) => void
}

/** A stream is there once: when the answer is lost, its own hash tells whether it was kept. */
async function putStream(
  env: ArtifactsEnvironment,
  stream: Chunks,
  { mediaType, signal, check }: StreamOptions,
): Promise<Kept> {
  const hash = createHash('sha256')
  let size = 0
  const measured = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of boundChunks(stream, signal)) {
      check(chunk)
      // What is none is the store's to refuse.
      if (chunk instanceof Uint8Array) hash.update(chunk)
      size += chunk.byteLength
      yield chunk
    }
  }
  try {
    const $artifact = await env.artifacts.put(measured(), { mediaType })
    return { $artifact, size }
  } catch (error) {
    if (!isStoreError(error, 'UNKNOWN_OUTCOME')) throw error
    const $artifact: ContentId = `sha256:${hash.digest('hex')}`
    const there = await repeatable(env, () => env.artifacts.touch([$artifact]))
    if (there.length === 0) throw error
    return { $artifact, size }
  }
}

/** Undefined for a stream. @throws KernelError `INVALID_INPUT`. */
function bytesOf({ runId, key }: ArtifactsParts, content: unknown): Uint8Array | undefined {
  if (content instanceof Uint8Array) return content
  if (typeof content === 'string' && content.isWellFormed()) return Buffer.from(content)
  if (typeof content === 'object' && content !== null && Symbol.asyncIterator in content) return undefined
  const found = typeof content === 'string' ? 'a text with half a surrogate pair' : typeof content
  const text = `an artifact of ${key} of run ${runId} is put from bytes, a text or a stream of bytes, not from ${found}`
  throw new KernelError('INVALID_INPUT', text, { runId, key })
}

/** @throws KernelError `INVALID_INPUT`. */
function idOf({ runId, key }: ArtifactsParts, artifact: unknown): ContentId {
  const id = isArtifactRef(artifact) ? artifact.$artifact : artifact
  if (isContentId(id)) return id
  const text = `${key} of run ${runId} reads an artifact by neither a reference nor a content id; pass what put returned`
  throw new KernelError('INVALID_INPUT', text, { runId, key })
}

/** @throws KernelError `INVALID_INPUT`. */
function parsed({ runId, key }: ArtifactsParts, id: ContentId, bytes: Uint8Array): Json {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as Json
  } catch (cause) {
    const text = `the artifact ${id}, which ${key} of run ${runId} reads as JSON, is none: ${textOf(cause)}; read it with get`
    throw new KernelError('INVALID_INPUT', text, { runId, key, cause })
  }
}
