import { boundedHint } from './action-error.ts'
import type { Classification, Policy } from './policy.ts'

/**
 * Knows the errors of Node's sockets, of `fetch`, and of clients that carry an HTTP status, also as the cause of another
 * error. Overload (429) is rate-limited, with the `Retry-After` that came with it; a broken or slow connection, 408, 425 and
 * 5xx (but 501 and 505) are transient; every other 4xx is permanent. It knows no other error.
 */
export const networkErrors: Policy = {
  name: 'network-errors',
  classify: (error, now) => classify(error, now, 0),
}

/** Libraries wrap the errors of others; deeper ones are of no interest. */
const MAX_DEPTH = 5

function classify(error: unknown, now: number, depth: number): Classification | undefined {
  if (depth > MAX_DEPTH || typeof error !== 'object' || error === null) return undefined
  const response = field(error, 'response')
  const status = statusOf(error) ?? statusOf(response)
  if (status !== undefined) return ofStatus(status, retryAfterMs(error, now) ?? retryAfterMs(response, now))
  if (isBrokenConnection(error)) return { kind: 'transient' }
  const cause = classify(field(error, 'cause'), now, depth + 1)
  if (cause !== undefined) return cause
  // Several addresses were tried, and each has its error.
  const errors = field(error, 'errors')
  return Array.isArray(errors) ? classify(errors[0], now, depth + 1) : undefined
}

const BROKEN: ReadonlySet<unknown> = new Set([
  ...['ECONNRESET', 'ECONNREFUSED', 'ECONNABORTED', 'ETIMEDOUT', 'EPIPE', 'EAI_AGAIN'],
  ...['ENETDOWN', 'ENETRESET', 'ENETUNREACH', 'EHOSTDOWN', 'EHOSTUNREACH'],
  ...['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET'],
])

const TOOK_TOO_LONG: ReadonlySet<unknown> = new Set(['AbortError', 'TimeoutError'])

function isBrokenConnection(error: object): boolean {
  return BROKEN.has(field(error, 'code')) || TOOK_TOO_LONG.has(field(error, 'name'))
}

function statusOf(error: unknown): number | undefined {
  for (const name of ['status', 'statusCode']) {
    const status = field(error, name)
    if (typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599) return status
  }
  return undefined
}

const TRANSIENT_4XX: ReadonlySet<number> = new Set([408, 425])
const PERMANENT_5XX: ReadonlySet<number> = new Set([501, 505])

function ofStatus(status: number, afterMs: number | undefined): Classification {
  const hint = afterMs !== undefined && { retryAfterMs: afterMs }
  if (status === 429) return { kind: 'rate-limited', ...hint }
  const transient = status >= 500 ? !PERMANENT_5XX.has(status) : TRANSIENT_4XX.has(status)
  return transient ? { kind: 'transient', ...hint } : { kind: 'permanent' }
}

/** `Retry-After` holds seconds, or a date. */
function retryAfterMs(error: unknown, now: number): number | undefined {
  const value = header(field(error, 'headers'), 'retry-after')
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return boundedHint(Number(value) * 1000)
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/** Headers are a `Headers`, or a record with names in any case. */
function header(headers: unknown, name: string): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  const values: Iterable<readonly [string, unknown]> =
    headers instanceof Headers ? headers.entries() : Object.entries(headers)
  for (const [key, value] of values) {
    if (key.toLowerCase() !== name) continue
    const text: unknown = Array.isArray(value) ? value[0] : value
    if (typeof text === 'string' || typeof text === 'number') return String(text).trim()
  }
  return undefined
}

/** Anything may be thrown, even an object whose fields throw in their turn. */
function field(of: unknown, name: string): unknown {
  if (typeof of !== 'object' || of === null) return undefined
  try {
    return (of as Readonly<Record<string, unknown>>)[name]
  } catch {
    return undefined
  }
}
