import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'

test('a session that is ended in the same breath in which it is opened is an error of the call, not of the process', async () => {
  const server = await serve(Buffer.concat([AUTHENTICATED, READY, TERMINATED]))
  const { port } = server.address() as AddressInfo

  const opening = postgresStore({ url: `postgres://user@127.0.0.1:${port}/database` })

  await expect(opening).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true })
})

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
