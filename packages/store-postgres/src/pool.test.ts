import type {} from '../../../test/postgres/global-setup.ts'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { expect, inject, onTestFinished, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'

test('a session that is ended in the same breath in which it is opened is an error of the call, not of the process', async () => {
  const server = await serve(Buffer.concat([AUTHENTICATED, READY, TERMINATED]))
  const { port } = server.address() as AddressInfo

  const opening = postgresStore({ url: `postgres://user@127.0.0.1:${port}/database` })

  await expect(opening).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true })
})

test('a store is closed although its server has fallen silent', async () => {
  const silence = await silenceable(new URL(inject('pgUrl')))
  const store = await postgresStore({ url: silence.url }, { schema: 'silent', notifications: false })
  await store.now()

  silence.begin()
  await store[Symbol.asyncDispose]()

  await silence.hungUp
})

/** A way to a server on which, from some moment on, nothing comes through any more, not even the end of a connection. */
async function silenceable(to: URL): Promise<{ url: string; begin: () => void; hungUp: Promise<unknown> }> {
  const hungUp = Promise.withResolvers<unknown>()
  const pairs: [Socket, Socket][] = []
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: Number(to.port), host: to.hostname })
    for (const socket of [client, upstream]) socket.on('error', () => undefined)
    client.pipe(upstream)
    upstream.pipe(client)
    client.once('end', hungUp.resolve)
    pairs.push([client, upstream])
  })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => {
    for (const socket of pairs.flat()) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  const url = new URL(to)
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const begin = (): void => {
    for (const [client, upstream] of pairs) {
      client.unpipe().resume()
      upstream.unpipe().pause()
    }
  }
  return { url: url.href, begin, hungUp: hungUp.promise }
}

/** A server that answers every session's first message with the same bytes, and hangs up. */
async function serve(answer: Buffer): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(answer))
  })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return server
}

/** A message of the protocol, version 3: its type, its length, its content. */
function message(type: string, content: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(content.length + 4)
  return Buffer.concat([Buffer.from(type), length, content])
}

const AUTHENTICATED = message('R', Buffer.alloc(4))
const READY = message('Z', Buffer.from('I'))
const TERMINATED = message(
  'E',
  Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'),
)
