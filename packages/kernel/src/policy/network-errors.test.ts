import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { networkErrors } from './network-errors.ts'
import type { Classification } from './policy.ts'

/** 21 October 2026, 07:28:00 UTC. */
const NOW = Date.UTC(2026, 9, 21, 7, 28)

const classify = (error: unknown): Classification | undefined => networkErrors.classify?.(error, NOW)

/** An error as libraries throw them: with fields of their own. */
const error = (fields: object, message = 'x'): Error => Object.assign(new Error(message), fields)

const transient = { kind: 'transient' } as const
const permanent = { kind: 'permanent' } as const
const limited = (retryAfterMs?: number) => ({
  kind: 'rate-limited',
  ...(retryAfterMs !== undefined && { retryAfterMs }),
})

const inACircle = error({})
inACircle.cause = inACircle

test.for<readonly [what: string, error: unknown, expected: object | undefined]>([
  ['429', error({ status: 429 }), limited()],
  ['429 with seconds to wait', error({ status: 429, headers: { 'retry-after': '2' } }), limited(2000)],
  ['429 with a number to wait', error({ status: 429, headers: { 'Retry-After': 2 } }), limited(2000)],
  ['429 with Headers', error({ status: 429, headers: new Headers({ 'Retry-After': '0' }) }), limited(0)],
  ['429 with a list of headers', error({ status: 429, headers: { 'retry-after': ['3', '4'] } }), limited(3000)],
  [
    '429 with a date to wait for',
    error({ status: 429, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:29:00 GMT' } }),
    limited(60_000),
  ],
  [
    '429 with a date that has passed',
    error({ status: 429, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:27:00 GMT' } }),
    limited(0),
  ],
  ['429 with nonsense to wait for', error({ status: 429, headers: { 'retry-after': 'soon' } }), limited()],
  [
    '429 with a wait beyond all numbers',
    error({ status: 429, headers: { 'retry-after': '9'.repeat(400) } }),
    limited(Number.MAX_SAFE_INTEGER),
  ],
  [
    'a client that keeps its response',
    error({ response: { status: 429, headers: { 'retry-after': '1' } } }),
    limited(1000),
  ],
  ['a client that says statusCode', error({ statusCode: 503 }), transient],
  [
    'a response that is thrown itself',
    new Response(null, { status: 503, headers: { 'retry-after': '7' } }),
    { ...transient, retryAfterMs: 7000 },
  ],
  ...[500, 502, 503, 504, 520, 599, 408, 425].map((status) => [`${status}`, error({ status }), transient] as const),
  ...[501, 505, 400, 401, 403, 404, 409, 422].map((status) => [`${status}`, error({ status }), permanent] as const),
  ...['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'EPIPE', 'EAI_AGAIN', 'ENETUNREACH', 'UND_ERR_SOCKET'].map(
    (code) => [code, error({ code }), transient] as const,
  ),
  ['fetch with its cause', new TypeError('fetch failed', { cause: error({ code: 'ECONNRESET' }) }), transient],
  ['several addresses that failed', new AggregateError([error({ code: 'ECONNREFUSED' })]), transient],
  ['a timeout', new DOMException('t', 'TimeoutError'), transient],
  ['an abort', new DOMException('a', 'AbortError'), transient],
  ['an error of no network', new Error('boom'), undefined],
  ['an unknown host', error({ code: 'ENOTFOUND' }), undefined],
  ['a status that is no failure', error({ status: 302 }), undefined],
  ['a status that is a text', error({ status: 'failed' }), undefined],
  ['a missing file', error({ code: 'ENOENT' }), undefined],
  ['an error that is its own cause', inACircle, undefined],
  ['text', 'ECONNRESET', undefined],
  ['nothing', undefined, undefined],
  [
    'an object whose fields cannot be read',
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('no')
        },
      },
    ),
    undefined,
  ],
])('%s', ([, thrown, expected]) => {
  expect(classify(thrown)).toEqual(expected)
})

test('a connection that a real server refuses, and one that it drops, are transient', async () => {
  const server = createServer((request) => request.socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const dropped: unknown = await fetch(url).catch((thrown: unknown) => thrown)
  await new Promise((resolve) => server.close(resolve))

  const refused: unknown = await fetch(url).catch((thrown: unknown) => thrown)

  expect(classify(dropped)).toEqual(transient)
  expect(classify(refused)).toEqual(transient)
})

test('a fetch that is given up is transient', async () => {
  const thrown: unknown = await fetch('http://127.0.0.1', { signal: AbortSignal.abort() }).catch(
    (error: unknown) => error,
  )

  expect(classify(thrown)).toEqual(transient)
})
