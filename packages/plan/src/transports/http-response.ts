import { ActionError, networkErrors } from '@varve/kernel'
import { failure } from './transport-error.ts'

/** How a request is named in errors. Paths and queries of a URL may hold secrets, its origin does not. */
export function describeTarget(method: string | undefined, url: URL): string {
  return `${method ?? 'GET'} ${url.origin}`
}

/** These fail before anything is sent. */
const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

/** What `fetch` threw, without its text, which may quote the request. */
export function connectionFailure(
  error: unknown,
  { target, now, isFirst }: { readonly target: string; readonly now: number; readonly isFirst: boolean },
): ActionError {
  const kind = networkErrors.classify?.(error, now)?.kind ?? 'permanent'
  const code = codeOf(error)
  return new ActionError(kind, `${target}: no connection, or a broken one (${code})`, {
    code: 'HTTP_FAILED',
    notExecuted: isFirst && NOT_CONNECTED.has(code),
  })
}

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && /^\w{1,60}$/.test(code) ? code : 'unknown error'
}

/** A status that is not accepted. */
export function statusFailure(response: Response, { target, now }: { target: string; now: number }): ActionError {
  const { kind = 'permanent', retryAfterMs } = networkErrors.classify?.(response, now) ?? {}
  return failure('HTTP_STATUS', `${target} answered ${response.status}`, { kind, retryAfterMs })
}

/** Those that say what the content is, and what to do next. */
const SHOWN = [
  ...['content-type', 'content-language', 'content-disposition', 'etag', 'last-modified', 'cache-control'],
  ...['location', 'link', 'retry-after'],
]

interface ReadOptions {
  readonly target: string
  readonly maxBytes: number
  readonly signal: AbortSignal
  readonly now: number
}

/** A response as far as it is handed on. */
interface ReadResponse {
  readonly bytes: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  /** Encoding of a body that is text. */
  readonly charset: string | undefined
}

/** @throws ActionError `OUTPUT_TOO_LARGE` | `HTTP_FAILED` when the connection breaks on the way. */
export async function readBounded(response: Response, options: ReadOptions): Promise<ReadResponse> {
  const shown = SHOWN.flatMap((name) => {
    const value = response.headers.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  const charset = /;\s*charset="?([\w.:-]+)/i.exec(response.headers.get('content-type') ?? '')?.[1]
  return { bytes: await readBytes(response, options), headers: Object.fromEntries(shown), charset }
}

async function readBytes(response: Response, options: ReadOptions): Promise<Uint8Array> {
  const { target, maxBytes, signal, now } = options
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of chunksOf(response)) {
      signal.throwIfAborted()
      size += chunk.byteLength
      if (size > maxBytes) {
        const text = `the body of ${target} is larger than ${maxBytes} bytes; raise maxBytes or ask for less`
        throw failure('OUTPUT_TOO_LARGE', text)
      }
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof ActionError) throw error
    throw connectionFailure(error, { target, now, isFirst: false })
  }
  return Buffer.concat(chunks, size)
}

function chunksOf({ body }: Response): AsyncIterable<Uint8Array> | readonly Uint8Array[] {
  return (body as AsyncIterable<Uint8Array> | null) ?? []
}
