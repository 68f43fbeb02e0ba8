import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'

/** Debian's place, which is not on every account's path. */
const PROGRAM = '/usr/sbin/pgbouncer'
const START_MS = 10_000

/** A pgbouncer of our own, on a loopback port. */
export interface Pooler {
  readonly url: string
  stop(): Promise<void>
}

/** Starts pgbouncer in front of a server: it hands out four connections by transaction. */
export async function startPgbouncer(serverUrl: string): Promise<Pooler> {
  const { hostname, port: serverPort, username, pathname } = new URL(serverUrl)
  const port = await freePort()
  const folder = mkdtempSync(path.join(tmpdir(), 'varve-pgbouncer-'))
  const settings = path.join(folder, 'pgbouncer.ini')
  const database = pathname.slice(1)
  writeFileSync(
    settings,
    `[databases]
${database} = host=${hostname} port=${serverPort} dbname=${database} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 300
`,
  )
  // It refuses to run as root, and the account that it borrows then must read its settings.
  chmodSync(folder, 0o755)
  const account = process.getuid?.() === 0 ? idsOf('nobody') : {}
  const pooler = spawn(PROGRAM, ['-q', settings], { ...account, stdio: ['ignore', 'inherit', 'inherit'] })
  const kill = (): void => void pooler.kill('SIGKILL')
  process.once('exit', kill)
  const gone = once(pooler, 'exit')
  const url = `postgres://${username}@127.0.0.1:${port}/${database}`
  await Promise.race([
    answers(url),
    gone.then(([code]) => {
      throw new Error(`pgbouncer did not start (${String(code)}): its output is above`)
    }),
  ])
  return {
    url,
    stop: async () => {
      process.removeListener('exit', kill)
      kill()
      await gone
      rmSync(folder, { recursive: true })
    },
  }
}

async function answers(connectionString: string): Promise<void> {
  for (const end = performance.now() + START_MS; ;) {
    const client = new pg.Client({ connectionString })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('select 1')
      return
    } catch (error) {
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function idsOf(user: string): { readonly uid: number; readonly gid: number } {
  const id = (flag: string): number => Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout)
  return { uid: id('-u'), gid: id('-g') }
}
