import { ActionError, createKernel, defineWorkflow, retryWithBackoff } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { fetchTransport, type FetchRequest, type FetchTransportOptions } from './fetch-transport.ts'

/** A request as it came in. */
interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answer = (response: ServerResponse, request: Received) => void

const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})

/** A server of this test, and what it was asked. */
async function serving(answer: Answer): Promise<{ readonly origin: string; readonly received: Received[] }> {
  const received: Received[] = []
  const server = createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      const { method, url, headers } = message
      const request = { method, url, headers, body: Buffer.concat(chunks).toString() }
      received.push(request)
      answer(response, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received }
}

const json =
  (value: unknown, status = 200): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }

const redirecting =
  (status: number, to: (url: string | undefined) => string | undefined, last: Answer = json('there')): Answer =>
  (response, request) => {
    const location = to(request.url)
    if (location === undefined) last(response, request)
    else response.writeHead(status, { location }).end()
  }

const context = () => ({ signal: new AbortController().signal, idempotencyKey: 'key-1' })

/** Calls once, with everything that a test does not say left at its default. */
function call(
  origin: string,
  request: Partial<FetchRequest> = {},
  options: Partial<FetchTransportOptions> = {},
  ctx = context(),
) {
  return fetchTransport({ allow: [origin], ...options }).call({ url: `${origin}/`, ...request }, ctx)
}

/** The error that a call ends with. */
async function errorOf(calling: Promise<unknown>): Promise<ActionError> {
  const error = await calling.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof ActionError) return error
  throw new Error(`no ActionError: ${String(error)}`)
}

describe('a request', () => {
  test('is a GET that answers with status, some headers and the JSON body', async () => {
    const { origin, received } = await serving((response) => {
      response.writeHead(200, { 'content-type': 'application/json', etag: '"1"', 'set-cookie': 'session=s3cret' })
      response.end('{"eur":[1,2]}')
    })

    const response = await call(origin, { url: `${origin}/rates?day=1` })

    expect(response).toEqual({
      status: 200,
      headers: { 'content-type': 'application/json', etag: '"1"' },
      body: { eur: [1, 2] },
    })
    expect(received).toMatchObject([{ method: 'GET', url: '/rates?day=1' }])
    expect(received[0]!.headers).not.toHaveProperty('idempotency-key')
  })

  test.for(['POST', 'PUT', 'PATCH', 'DELETE'] as const)('that is a %s carries the idempotency key', async (method) => {
    const { origin, received } = await serving(json(null))

    await call(origin, { method })

    expect(received[0]!.headers).toMatchObject({ 'idempotency-key': 'key-1' })
  })

  test('may carry an idempotency key of its own', async () => {
    const { origin, received } = await serving(json(null))

    await call(origin, { method: 'POST', headers: { 'Idempotency-Key': 'own' } })

    expect(received[0]!.headers).toMatchObject({ 'idempotency-key': 'own' })
  })

  test('sends JSON in its canonical form and text as it is', async () => {
    const { origin, received } = await serving(json(null))

    await call(origin, { method: 'POST', body: { b: 1, a: [true] } })
    await call(origin, { method: 'POST', body: 'a,b', headers: { 'content-type': 'text/csv' } })

    expect(received.map(({ body }) => body)).toEqual(['{"a":[true],"b":1}', 'a,b'])
    expect(received.map(({ headers }) => headers['content-type'])).toEqual(['application/json', 'text/csv'])
  })

  test('carries the headers of the transport over its own, resolved at each call for the origin', async () => {
    const { origin, received } = await serving(json(null))
    const asked: string[] = []
    const transport = fetchTransport({
      allow: [origin],
      headers: async (of) => ({ authorization: `Bearer ${asked.push(of)}` }),
    })

    const request = { url: origin, headers: { authorization: 'none', 'x-own': 'o' } }
    await transport.call(request, context())
    await transport.call(request, context())

    expect(received.map(({ headers }) => [headers.authorization, headers['x-own']])).toEqual([
      ['Bearer 1', 'o'],
      ['Bearer 2', 'o'],
    ])
    expect(asked).toEqual([origin, origin])
  })

  test('goes through the fetch that was given', async () => {
    const transport = fetchTransport({
      allow: ['https://api.example.org'],
      fetch: async (url) => Response.json({ asked: (url as URL).href }),
    })

    const response = await transport.call({ url: 'https://api.example.org/x' }, context())

    expect(response.body).toEqual({ asked: 'https://api.example.org/x' })
  })

  test.for<readonly [what: string, request: unknown]>([
    ['without a URL', {}],
    ['with a relative URL', { url: '/x' }],
    ['with credentials in its URL', { url: 'http://ann:s3cret@127.0.0.1/' }],
    ['with an unknown method', { url: 'http://127.0.0.1/', method: 's3cret' }],
    ['with an unknown field', { url: 'http://127.0.0.1/', follow: 's3cret' }],
    ['with a header that is no text', { url: 'http://127.0.0.1/', headers: { 'x-a': 5 } }],
    ['with a header that HTTP does not allow', { url: 'http://127.0.0.1/', headers: { 'x-a': 's3cret\r\nx: y' } }],
    ['that sets the host', { url: 'http://127.0.0.1/', headers: { Host: 's3cret' } }],
    ['that is a GET with a body', { url: 'http://127.0.0.1/', body: 's3cret' }],
    ['with a body that is no JSON', { url: 'http://127.0.0.1/', method: 'POST', body: { at: new Date(0) } }],
    ['that is none', null],
  ])('%s is refused before anything is sent, without its values', async ([, request]) => {
    const transport = fetchTransport({
      allow: ['http://127.0.0.1'],
      fetch: () => Promise.reject(new Error('it was sent')),
    })

    const error = await errorOf(transport.call(request as FetchRequest, context()))

    expect(error).toMatchObject({ code: 'REQUEST_INVALID', kind: 'permanent', notExecuted: true })
    expect(`${error.stack} ${String(error.cause)}`).not.toContain('s3cret')
  })
})

describe('the allow-list', () => {
  test.for<readonly [entry: string, url: string, allowed: boolean]>([
    ['https://api.example.org', 'https://api.example.org/a?b', true],
    ['https://api.example.org', 'https://API.example.org:443', true],
    ['https://api.example.org', 'http://api.example.org', false],
    ['https://api.example.org', 'https://api.example.org:8443', false],
    ['https://api.example.org', 'https://api.example.org.evil.org', false],
    ['https://api.example.org', 'https://xapi.example.org', false],
    ['https://api.example.org', 'https://evil.org/https://api.example.org', false],
    ['https://api.example.org', 'https://api.example.org.', false],
    ['https://api.example.org', 'file:///etc/passwd', false],
    ['https://api.example.org', 'data:,x', false],
    ['https://*.example.org', 'https://api.example.org', true],
    ['https://*.example.org', 'https://a.b.example.org', true],
    ['https://*.example.org', 'https://example.org', false],
    ['https://*.example.org', 'https://evilexample.org', false],
    ['https://*.example.org', 'http://api.example.org', false],
    ['https://*.example.org', 'https://api.example.org:8443', false],
    ['https://*.example.org:8443', 'https://api.example.org:8443', true],
    ['http://[::1]:80', 'http://[::1]/', true],
  ])('with %s lets %s through: %s', async ([entry, url, allowed]) => {
    const transport = fetchTransport({ allow: [entry], fetch: async () => Response.json('sent') })

    const outcome = await transport.call({ url }, context()).catch((error: unknown) => (error as ActionError).code)

    expect(outcome).toEqual(allowed ? expect.objectContaining({ body: 'sent' }) : 'ORIGIN_NOT_ALLOWED')
  })

  test.for<readonly [what: string, options: Partial<FetchTransportOptions>]>([
    ['an empty list', { allow: [] }],
    ['a star alone', { allow: ['*'] }],
    ['every host', { allow: ['https://*'] }],
    ['a whole top-level domain', { allow: ['https://*.org'] }],
    ['two stars', { allow: ['https://*.*.example.org'] }],
    ['a star within a name', { allow: ['https://api*.example.org'] }],
    ['a path', { allow: ['https://example.org/api'] }],
    ['credentials', { allow: ['https://ann:s3cret@example.org'] }],
    ['another protocol', { allow: ['ftp://example.org'] }],
    ['no origin', { allow: ['example.org'] }],
    ['no bytes', { maxBytes: 0 }],
    ['part of a millisecond', { timeoutMs: 0.5 }],
    ['a status that is none', { acceptStatus: [2000] }],
  ])('or another option with %s is refused at once', ([, options]) => {
    const defining = () => fetchTransport({ allow: ['https://example.org'], ...options })

    expect(defining).toThrow(expect.objectContaining({ name: 'PlanError', code: 'INVALID_DEFINITION' }))
    expect(defining).not.toThrow(/s3cret/)
  })
})

describe('a redirect', () => {
  test('is followed within an origin, credentials included', async () => {
    const { origin, received } = await serving(redirecting(302, (url) => (url === '/' ? '/next' : undefined)))

    const response = await call(origin, {}, { headers: { authorization: 'Bearer s3cret' } })

    expect(response.body).toBe('there')
    expect(received.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/', 'Bearer s3cret'],
      ['/next', 'Bearer s3cret'],
    ])
  })

  test('to another allowed origin is followed without credentials', async () => {
    const other = await serving(json('there'))
    const { origin } = await serving(redirecting(307, () => `${other.origin}/x`))

    const request = { method: 'POST', body: { a: 1 }, headers: { 'x-own': 'o', cookie: 'c' } } as const
    await call(origin, request, { allow: [origin, other.origin], headers: { 'x-api-key': 's3cret' } })

    expect(other.received).toMatchObject([{ method: 'POST', url: '/x', body: '{"a":1}' }])
    const { headers } = other.received[0]!
    expect(headers).toMatchObject({ 'idempotency-key': 'key-1', 'content-type': 'application/json' })
    expect([headers['x-api-key'], headers['x-own'], headers.cookie]).toEqual([undefined, undefined, undefined])
  })

  test('back to the first origin does not bring the credentials back', async () => {
    const back = { to: '' }
    const other = await serving((response) => {
      response.writeHead(302, { location: back.to }).end()
    })
    const { origin, received } = await serving(redirecting(302, (url) => (url === '/' ? other.origin : undefined)))
    back.to = `${origin}/end`

    await call(origin, {}, { allow: [origin, other.origin], headers: { authorization: 'Bearer s3cret' } })

    expect(received.map(({ headers }) => headers.authorization)).toEqual(['Bearer s3cret', undefined])
  })

  test('to an origin that is not allowed is not followed', async () => {
    const other = await serving(json('there'))
    const { origin } = await serving(redirecting(302, () => `${other.origin}/?token=s3cret`))

    const error = await errorOf(call(origin))

    expect(error).toMatchObject({ code: 'ORIGIN_NOT_ALLOWED', kind: 'permanent', notExecuted: false })
    expect(error.message).toContain(other.origin)
    expect(error.message).not.toContain('s3cret')
    expect(other.received).toEqual([])
  })

  test.for<readonly [status: number, method: 'POST' | 'PUT' | 'HEAD', then: string, body: string]>([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [302, 'PUT', 'PUT', '1'],
    [303, 'PUT', 'GET', ''],
    [303, 'HEAD', 'HEAD', ''],
    [307, 'POST', 'POST', '1'],
    [308, 'PUT', 'PUT', '1'],
  ])('with %d turns a %s into a %s', async ([status, method, then, body]) => {
    const { origin, received } = await serving(redirecting(status, (url) => (url === '/' ? '/next' : undefined)))

    await call(origin, { method, ...(method !== 'HEAD' && { body: 1 }) })

    expect(received[1]).toMatchObject({ method: then, url: '/next', body })
    expect(received[1]!.headers['idempotency-key']).toBe(then === 'PUT' || then === 'POST' ? 'key-1' : undefined)
  })

  test('is followed five times and no more', async () => {
    const hops = (last: number) => serving(redirecting(302, (url) => (url === `/${last}` ? undefined : next(url))))
    const next = (url: string | undefined): string => `/${Number(url?.slice(1)) + 1}`
    const five = await hops(5)
    const six = await hops(6)

    const response = await call(five.origin)
    const error = await errorOf(call(six.origin))

    expect(response.body).toBe('there')
    expect(error).toMatchObject({ code: 'TOO_MANY_REDIRECTS', kind: 'permanent' })
    expect(six.received).toHaveLength(6)
  })

  test('is an answer when its status is accepted', async () => {
    const { origin, received } = await serving(redirecting(302, () => '/next'))

    const response = await call(origin, {}, { acceptStatus: [302] })

    expect(response).toMatchObject({ status: 302, headers: { location: '/next' }, body: null })
    expect(received).toHaveLength(1)
  })
})

describe('a status', () => {
  test.for<readonly [status: number, kind: string]>([
    [400, 'permanent'],
    [401, 'permanent'],
    [404, 'permanent'],
    [304, 'permanent'],
    [408, 'transient'],
    [425, 'transient'],
    [429, 'rate-limited'],
    [500, 'transient'],
    [501, 'permanent'],
    [503, 'transient'],
  ])('%d is a %s failure without the body', async ([status, kind]) => {
    const { origin } = await serving((response) => {
      response.writeHead(status).end(status === 304 ? undefined : 's3cret')
    })

    const error = await errorOf(call(origin, { url: `${origin}/s3cret?k=s3cret` }))

    expect(error).toMatchObject({ code: 'HTTP_STATUS', kind, notExecuted: false })
    expect(error.message).toBe(`GET ${origin} answered ${status}`)
  })

  test('carries the time that the other side asks for, in seconds or as a date', async () => {
    const { origin } = await serving((response, { url }) => {
      response.writeHead(429, { 'retry-after': url === '/s' ? '7' : new Date(61_000).toUTCString() }).end()
    })
    const options = { clock: virtualClock(1_000) }

    const seconds = await errorOf(call(origin, { url: `${origin}/s` }))
    const date = await errorOf(call(origin, { url: `${origin}/d` }, options))

    expect([seconds.retryAfterMs, date.retryAfterMs]).toEqual([7_000, 60_000])
  })

  test('is an answer when it is accepted', async () => {
    const { origin } = await serving(json({ missing: true }, 404))

    const response = await call(origin, {}, { acceptStatus: [404] })

    expect(response).toMatchObject({ status: 404, body: { missing: true } })
  })

  test('that is transient is tried again by the kernel', async () => {
    const { origin, received } = await serving((response, request) => {
      json('done', received.length === 1 ? 503 : 200)(response, request)
    })
    const transport = fetchTransport({ allow: [origin] })
    const workflow = defineWorkflow(
      {
        ...{ name: 'calling', version: '1', input: z.null() },
        actions: {
          get: { run: async (_: null, ctx) => (await transport.call({ url: origin }, ctx)).body },
        },
      },
      {
        step: ({ results }, next) => {
          const result = results['get']
          return result === undefined ? next.run('get', null, { key: 'get' }) : next.complete(result)
        },
      },
    )
    const policy = retryWithBackoff({ maxAttempts: 2, baseMs: 0 })
    await using kernel = createKernel({ store: memoryStore(), workflows: [workflow], policy })

    await kernel.start(workflow, null, { runId: 'r' })
    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'done' } })
    expect(received).toHaveLength(2)
  })
})

describe('a body', () => {
  const bytes = Buffer.from([0xff, 0x00, 0x80])

  test.for<readonly [as: 'text' | 'base64', body: string | Buffer, type: string, expected: string]>([
    ['text', 'grün', 'text/plain', 'grün'],
    ['text', Buffer.from('grün', 'latin1'), 'text/plain; charset="ISO-8859-1"', 'grün'],
    ['text', '', 'text/plain', ''],
    ['base64', bytes, 'image/png', bytes.toString('base64')],
  ])('is handed over as %s', async ([as, body, type, expected]) => {
    const { origin } = await serving((response) => {
      response.writeHead(200, { 'content-type': type }).end(body)
    })

    const response = await call(origin, { as })

    expect(response.body).toBe(expected)
  })

  test('that is empty is null as JSON', async () => {
    const { origin } = await serving((response) => {
      response.writeHead(204).end()
    })

    const response = await call(origin)

    expect(response).toEqual({ status: 204, headers: {}, body: null })
  })

  test.for<readonly [code: string, as: 'json' | 'text', body: string | Buffer]>([
    ['OUTPUT_NOT_JSON', 'json', '{"a": s3cret'],
    ['OUTPUT_NOT_JSON', 'json', bytes],
    ['OUTPUT_NOT_TEXT', 'text', bytes],
  ])('that is something else is %s, and is not quoted', async ([code, as, body]) => {
    const { origin } = await serving((response) => {
      response.writeHead(200).end(body)
    })

    const error = await errorOf(call(origin, { as }))

    expect(error).toMatchObject({ code, kind: 'permanent', notExecuted: false })
    expect(error.message).not.toContain('s3cret')
  })

  test('of just the size that is allowed comes through, and one byte more does not', async () => {
    const { origin } = await serving((response, { url }) => {
      response.writeHead(200).end('x'.repeat(Number(url?.slice(1))))
    })
    const get = (size: number) => call(origin, { url: `${origin}/${size}`, as: 'text' }, { maxBytes: 1_000 })

    const most = await get(1_000)
    const error = await errorOf(get(1_001))

    expect(most.body).toHaveLength(1_000)
    expect(error).toMatchObject({ code: 'OUTPUT_TOO_LARGE', kind: 'permanent' })
  })

  test('that never ends is given up at the limit', async () => {
    const closed = Promise.withResolvers<undefined>()
    const { origin } = await serving((response) => {
      const more = (): void => void (response.write('x'.repeat(10_000), () => setImmediate(more)) satisfies boolean)
      response.on('close', () => closed.resolve(undefined))
      response.writeHead(200)
      more()
    })

    const error = await errorOf(call(origin, { as: 'text' }, { maxBytes: 100_000 }))
    await closed.promise

    expect(error.code).toBe('OUTPUT_TOO_LARGE')
  })

  test('counts as large as it is decompressed', async () => {
    const { origin } = await serving((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000)))
    })

    const error = await errorOf(call(origin, { as: 'text' }, { maxBytes: 10_000 }))

    expect(error.code).toBe('OUTPUT_TOO_LARGE')
  })
})

describe('a call', () => {
  const silent: Answer = () => undefined
  const stalled: Answer = (response) => {
    response.writeHead(200).write('{')
  }

  test.for<readonly [what: string, answer: Answer]>([
    ['answers', silent],
    ['finishes its answer', stalled],
  ])('to a server that never %s ends at its timeout', async ([, answer]) => {
    const { origin } = await serving(answer)

    const error = await errorOf(call(origin, {}, { timeoutMs: 20 }))

    expect(error).toMatchObject({ code: 'HTTP_TIMEOUT', kind: 'transient', notExecuted: false })
  })

  test('whose headers never come ends at its timeout', async () => {
    const headers = () => new Promise<Record<string, string>>(() => undefined)

    const error = await errorOf(call('http://127.0.0.1:1', {}, { timeoutMs: 5, headers }))

    expect(error.code).toBe('HTTP_TIMEOUT')
  })

  test('ends with the reason of its signal', async () => {
    const controller = new AbortController()
    const { origin } = await serving(() => controller.abort(new Error('the run was canceled')))

    const calling = call(origin, {}, {}, { ...context(), signal: controller.signal })

    await expect(calling).rejects.toThrow('the run was canceled')
  })

  test('with a signal that is aborted already sends nothing', async () => {
    const { origin, received } = await serving(json(null))
    const signal = AbortSignal.abort(new Error('too late'))

    await expect(call(origin, {}, {}, { ...context(), signal })).rejects.toThrow('too late')

    expect(received).toEqual([])
  })

  test('leaves no timer behind', async () => {
    const { origin } = await serving(json(null))
    const clock = virtualClock()

    await call(origin, {}, { clock })

    expect(clock.timers).toBe(0)
  })

  test('to a port where nobody listens is transient, and nothing was executed', async () => {
    const { origin } = await serving(json(null))
    await closing.splice(0)[0]!()

    const error = await errorOf(call(origin, {}, { headers: { authorization: 's3cret' } }))

    expect(error).toMatchObject({ code: 'HTTP_FAILED', kind: 'transient', notExecuted: true })
    expect(error.message).toBe(`GET ${origin}: no connection, or a broken one (ECONNREFUSED)`)
  })

  test('that was redirected to a port where nobody listens may have been executed', async () => {
    const other = await serving(json(null))
    await closing.splice(0)[0]!()
    const { origin } = await serving(redirecting(303, () => other.origin))

    const error = await errorOf(call(origin, { method: 'POST' }, { allow: [origin, other.origin] }))

    expect(error).toMatchObject({ code: 'HTTP_FAILED', kind: 'transient', notExecuted: false })
  })

  test('whose connection breaks is transient, and may have been executed', async () => {
    const { origin } = await serving((response) => response.destroy())

    const error = await errorOf(call(origin, { method: 'POST', body: 's3cret' }))

    expect(error).toMatchObject({ code: 'HTTP_FAILED', kind: 'transient', notExecuted: false })
    expect(error.message).not.toContain('s3cret')
  })

  test('whose connection breaks within the body is transient', async () => {
    const { origin } = await serving((response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{', () => response.destroy())
    })

    const error = await errorOf(call(origin))

    expect(error).toMatchObject({ code: 'HTTP_FAILED', kind: 'transient' })
  })
})
