import { systemClock, type Clock } from '@varve/kernel'
import { checkList, checkOptions, shown, type Json, type NamesOf } from '@varve/store'
import { z } from 'zod'
import { asDefinition, PlanError } from '../errors.ts'
import { decodeContent, encodeJson, type ContentForm } from './content.ts'
import { beforeDeadline, orAborted } from './deadline.ts'
import { connectionFailure, describeTarget, readBounded, statusFailure } from './http-response.ts'
import { originsAllowed } from './origins.ts'
import { redirectOf, type Hop } from './redirect.ts'
import { checkBound, checkTransport, failure, parseRequest, refusal } from './transport-error.ts'
import type { Transport, TransportContext } from './transport.ts'

type HeaderValues = Readonly<Record<string, string>>

/** What may be called, and how. */
export interface FetchTransportOptions {
  /**
   * Origins (`https://api.example.org`) and patterns (`https://*.example.org`: every host below it). It is a list of names: what
   * they resolve to is not checked.
   */
  readonly allow: readonly string[]
  /** Largest body of a response, counted while it is read, decompressed. Default 1 MiB. */
  readonly maxBytes?: number
  /** For the whole call, redirects and body included. Default 30 seconds. */
  readonly timeoutMs?: number
  /** Statuses that are answers and no errors, besides 200 to 299. A redirect among them is not followed. */
  readonly acceptStatus?: readonly number[]
  /**
   * Sent with each request, over those of the request; this is where credentials go. A function is asked with the origin at
   * each call. They are not sent on to another origin that a response redirects to.
   */
  readonly headers?: HeaderValues | ((origin: string) => HeaderValues | Promise<HeaderValues>)
  /** Default: the global one. It must not follow redirects when it is told `manual`. */
  readonly fetch?: typeof fetch
  /** Default: the clock of this machine. */
  readonly clock?: Clock
}

const OPTIONS: NamesOf<FetchTransportOptions> = {
  ...{ allow: true, maxBytes: true, timeoutMs: true, acceptStatus: true, headers: true, fetch: true, clock: true },
}

/** One HTTP request. It is recorded: credentials go into the transport's `headers`. */
// A type and no interface: only that is JSON to the compiler.
export type FetchRequest = {
  readonly url: string
  /** Default `GET`. */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  readonly headers?: HeaderValues
  /** A text is sent as it is, anything else as canonical JSON. */
  readonly body?: Json
  /** Form of the response's body. Default `json`. */
  readonly as?: ContentForm
}

/** What came back. */
// A type and no interface: only that is JSON to the compiler.
export type FetchResponse = {
  readonly status: number
  /** Those that say something of the content: no cookies, no dates of delivery. */
  readonly headers: Readonly<Record<string, string>>
  /** `null` for an empty body that was asked for as JSON. */
  readonly body: Json
}

const requestSchema = z.strictObject({
  url: z.string(),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  body: z.unknown().optional(),
  as: z.enum(['json', 'text', 'base64']).optional(),
})

const MAX_REDIRECTS = 5

/**
 * HTTP to a list of allowed origins. Redirects are followed within that list, five at most. A request that may change something
 * carries the call's `Idempotency-Key`. A status outside of 200 to 299 is an error that says whether to try again, with the
 * `Retry-After` that came with it.
 *
 * @throws PlanError `INVALID_DEFINITION` for options that can never work.
 */
export function fetchTransport(options: FetchTransportOptions): Transport<FetchRequest, FetchResponse> {
  const what = 'fetchTransport'
  checkTransport(what, options, OPTIONS)
  asDefinition(checkList, `${what}: allow`, options.allow)
  asDefinition(checkList, `${what}: acceptStatus`, options.acceptStatus ?? [])
  const settings: Settings = {
    isAllowed: originsAllowed(options.allow, what),
    accepts: accepting(options.acceptStatus ?? []),
    maxBytes: options.maxBytes ?? 2 ** 20,
    fetch: options.fetch,
    clock: options.clock ?? systemClock,
    headers: options.headers ?? {},
  }
  const timeoutMs = options.timeoutMs ?? 30_000
  checkBound(what, 'maxBytes', settings.maxBytes)
  checkBound(what, 'timeoutMs', timeoutMs)
  if (typeof settings.headers !== 'function') asDefinition(checkOptions, `${what}: headers`, settings.headers)
  return {
    call: async (given, ctx) => {
      const request = parseRequest(requestSchema, given) as FetchRequest
      const target = targetOf(request, settings)
      const timedOut = (): Error =>
        failure('HTTP_TIMEOUT', `${describeTarget(request.method, target)} took longer than ${timeoutMs} ms`, {
          kind: 'transient',
        })
      return beforeDeadline({ signal: ctx.signal, timeoutMs, clock: settings.clock, timedOut }, (signal) =>
        exchange(request, target, { ...settings, ...ctx, signal }),
      )
    },
  }
}

interface Settings {
  readonly isAllowed: (url: URL) => boolean
  readonly accepts: (status: number) => boolean
  readonly maxBytes: number
  readonly fetch: typeof fetch | undefined
  readonly clock: Clock
  readonly headers: NonNullable<FetchTransportOptions['headers']>
}

type Exchange = Settings & TransportContext

function accepting(statuses: readonly number[]): (status: number) => boolean {
  const unknown = statuses.find((status) => !Number.isInteger(status) || status < 200 || status > 599)
  if (unknown !== undefined) {
    throw new PlanError(
      'INVALID_DEFINITION',
      `fetchTransport: acceptStatus takes statuses from 200 to 599, got ${shown(unknown)}`,
    )
  }
  return (status) => (status >= 200 && status <= 299) || statuses.includes(status)
}

function targetOf({ url, method = 'GET', body }: FetchRequest, { isAllowed }: Settings): URL {
  const target = URL.parse(url)
  if (target === null) throw refusal('REQUEST_INVALID', 'request.url is no absolute URL')
  if (target.username + target.password !== '') {
    throw refusal('REQUEST_INVALID', "request.url holds credentials; give them to the transport's headers")
  }
  if (!isAllowed(target)) throw refusal('ORIGIN_NOT_ALLOWED', notAllowed(method, target))
  if (body !== undefined && isSafe(method)) throw refusal('REQUEST_INVALID', `a ${method} has no body`)
  return target
}

function notAllowed(method: string, target: URL): string {
  return `${describeTarget(method, target)} is not among the allowed origins; add it to allow if it should be`
}

function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

async function exchange(request: FetchRequest, target: URL, options: Exchange): Promise<FetchResponse> {
  const { method = 'GET', body } = request
  let hop: Hop = {
    url: target,
    method,
    headers: await headersOf(request, target, options),
    body: body === undefined || typeof body === 'string' ? body : encodeJson(body, 'request.body'),
  }
  for (let redirects = 0; ; redirects++) {
    const response = await send(hop, redirects === 0, options)
    const { status } = response
    const next = options.accepts(status) ? undefined : redirectOf(hop, response)
    if (next === undefined) return answer(hop, response, { ...options, as: request.as ?? 'json' })
    await response.body?.cancel()
    if (!options.isAllowed(next.url)) throw failure('ORIGIN_NOT_ALLOWED', notAllowed(next.method, next.url))
    if (redirects === MAX_REDIRECTS) {
      const text = `${describeTarget(method, target)} redirected more than ${MAX_REDIRECTS} times`
      throw failure('TOO_MANY_REDIRECTS', text)
    }
    hop = next
  }
}

/** They are about the connection, or about where the request goes, which the URL alone decides. */
const NOT_OURS = new Set([
  ...['host', 'connection', 'keep-alive', 'upgrade', 'transfer-encoding', 'content-length', 'te', 'trailer', 'expect'],
  ...['proxy-authorization', 'proxy-connection'],
])

async function headersOf(request: FetchRequest, target: URL, options: Exchange): Promise<Headers> {
  const { headers: own, signal, idempotencyKey } = options
  const configured = typeof own === 'function' ? await orAborted(own(target.origin), signal) : own
  const headers = new Headers()
  if (request.body !== undefined) {
    headers.set('content-type', typeof request.body === 'string' ? 'text/plain; charset=utf-8' : 'application/json')
  }
  for (const [name, value] of [...Object.entries(request.headers ?? {}), ...Object.entries(configured)]) {
    if (NOT_OURS.has(name.toLowerCase())) throw refusal('REQUEST_INVALID', `a request cannot set the header ${name}`)
    try {
      headers.set(name, value)
    } catch {
      // What `Headers` throws quotes the value.
      throw refusal('REQUEST_INVALID', 'the name or the value of a header holds characters that HTTP does not allow')
    }
  }
  if (!isSafe(request.method ?? 'GET') && !headers.has('idempotency-key')) {
    headers.set('idempotency-key', idempotencyKey)
  }
  return headers
}

async function send({ url, method, headers, body }: Hop, isFirst: boolean, options: Exchange): Promise<Response> {
  const { signal, clock } = options
  const fetching = options.fetch ?? globalThis.fetch
  const init: RequestInit = { method, headers, redirect: 'manual', signal, ...(body !== undefined && { body }) }
  try {
    return await orAborted(fetching(url, init), signal)
  } catch (error) {
    throw connectionFailure(error, { target: describeTarget(method, url), now: clock.now(), isFirst })
  }
}

async function answer(hop: Hop, response: Response, options: Exchange & { as: ContentForm }): Promise<FetchResponse> {
  const { accepts, maxBytes, clock, as, signal } = options
  const target = describeTarget(hop.method, hop.url)
  const { status } = response
  if (!accepts(status)) {
    await response.body?.cancel()
    throw statusFailure(response, { target, now: clock.now() })
  }
  const reading = readBounded(response, { target, maxBytes, signal, now: clock.now() })
  const { bytes, headers, charset } = await orAborted(reading, signal)
  return { status, headers, body: decodeContent(bytes, as, `the body of ${target}`, charset) }
}
