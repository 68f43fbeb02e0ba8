// Owns one throw-away PostgreSQL server: node supervisor.mjs '{ "folders": [...], "account": {}, "durable": false }'
// With `"data": "<folder>"` it takes over that data folder, left behind by a server that is gone, instead of making a new one.
//
// Prints `ready <url>` when the server answers. `restart` on stdin stops it and starts it on the same data and port.
// When stdin closes, because its parent asked for it or is gone for whatever reason, it stops the server and
// deletes everything.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

const START_ATTEMPTS = 5
const STOP_PATIENCE_MS = 5_000

const { folders, account, durable, preload, data: left } = JSON.parse(process.argv[2])
const suffix = process.platform === 'win32' ? '.exe' : ''
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')))
Object.assign(env, { LC_ALL: 'C', TZ: 'UTC' })

const home = mkdtempSync(path.join(tmpdir(), 'varve-postgres-'))
if (account.uid !== undefined) chownSync(home, account.uid, account.gid)
const as = { ...account, cwd: home, env }
const data = path.join(home, 'data')

let server
let stopping = false

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void leave(0))
const commands = createInterface({ input: process.stdin })
commands.once('close', () => void leave(0))

try {
  const bin = usableFolder()
  if (left === undefined) initialize(bin)
  else takeOver(left)
  const port = await startSomewhere(bin)
  announce(port)
  commands.on('line', (line) => line === 'restart' && void restart(bin, port))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  await leave(1)
}

/**
 * The first folder with binaries that our account can run. Below a folder that only root may enter it can run
 * none: then it gets a copy of its own, deleted with the data.
 */
function usableFolder() {
  const runs = (bin) => spawnSync(path.join(bin, `postgres${suffix}`), ['--version'], as).status === 0
  for (const { bin, copy } of folders) {
    if (runs(bin)) return bin
    if (copy === undefined || account.uid === undefined) continue
    const own = path.join(home, 'native')
    cpSync(copy, own, { recursive: true, verbatimSymlinks: true })
    chmodSync(own, 0o755)
    const copied = path.join(own, path.relative(copy, bin))
    if (runs(copied)) return copied
  }
  throw new Error(`no runnable PostgreSQL in ${folders.map(({ bin }) => bin).join(', ')}`)
}

function initialize(bin) {
  const options = ['--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions']
  const done = spawnSync(path.join(bin, `initdb${suffix}`), ['-D', data, '-U', 'postgres', ...options], {
    ...as,
    encoding: 'utf8',
  })
  if (done.status !== 0) throw new Error(`initdb failed: ${done.error ?? done.status}\n${done.stdout}${done.stderr}`)
}

/** The lock file names a process of the server that is gone, or, in a copy, of one that is not ours. */
function takeOver(folder) {
  renameSync(folder, data)
  rmSync(path.join(data, 'postmaster.pid'), { force: true })
}

/** Another process may take the free port between our looking and PostgreSQL's binding: then the next one. */
async function startSomewhere(bin) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      await start(bin, port)
      return port
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw error
    }
  }
}

function start(bin, port) {
  const sync = durable ? 'on' : 'off'
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: sync,
    synchronous_commit: sync,
    full_page_writes: sync,
    max_connections: '100',
    shared_buffers: '64MB',
    logging_collector: 'off',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const started = spawn(path.join(bin, `postgres${suffix}`), ['-D', data, '-p', String(port), ...options], {
    ...as,
    env: preload === undefined ? env : { ...env, LD_PRELOAD: preload },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  server = started

  return new Promise((resolve, reject) => {
    let log = ''
    let ready = false
    started.stderr.setEncoding('utf8').on('data', (text) => {
      log = (log + text).slice(-20_000)
      if (ready || !log.includes('database system is ready to accept connections')) return
      ready = true
      resolve()
    })
    started.once('error', reject)
    started.once('exit', (code) => {
      if (!ready) return reject(new Error(`postgres did not start (${code})\n${log}`))
      if (server !== started) return // restarted or stopped
      process.stderr.write(`postgres died (${code})\n${log}\n`)
      void leave(1)
    })
  })
}

async function restart(bin, port) {
  try {
    await stopServer()
    if (stopping) return
    await start(bin, port)
    announce(port)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    await leave(1)
  }
}

/** Fast shutdown: disconnects clients, rolls back, exits. Immediate shutdown if that does not come about. */
async function stopServer() {
  const running = server
  server = undefined
  if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
  const gone = new Promise((resolve) => running.once('exit', resolve))
  // A test that stops its processes may have died before it let them go on: then it would take no other signal.
  if (process.platform !== 'win32') running.kill('SIGCONT')
  running.kill('SIGINT')
  const impatient = setTimeout(() => running.kill('SIGQUIT'), STOP_PATIENCE_MS)
  await gone
  clearTimeout(impatient)
}

async function leave(code) {
  if (stopping) return
  stopping = true
  await stopServer()
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  process.exit(code)
}

function announce(port) {
  process.stdout.write(`ready postgres://postgres@127.0.0.1:${port}/postgres\n`)
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}
