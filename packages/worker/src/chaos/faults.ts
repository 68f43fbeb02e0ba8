import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { PostgresServer } from '../../../../test/postgres/server.ts'
import type { Fleet } from './fleet.ts'

/** How often each fault was made. */
export type FaultCounts = Record<'kills' | 'pauses' | 'stops' | 'cuts' | 'restarts', number>

/** What to make faults with. */
export interface FaultOptions {
  readonly fleet: Fleet
  readonly random: () => number
  readonly forMs: number
  readonly leaseMs: number
  /** There for a store on Postgres. */
  readonly server?: PostgresServer
}

/**
 * Makes one fault after the other, of each kind one at least, however slow the machine is. What they hit follows from the machine,
 * too.
 */
export async function makeFaults({ fleet, random, forMs, leaseMs, server }: FaultOptions): Promise<FaultCounts> {
  const counts: FaultCounts = { kills: 0, pauses: 0, stops: 0, cuts: 0, restarts: 0 }
  const until = performance.now() + forMs
  const restartAt = until - forMs / 2
  const round = ['kills', 'kills', 'pauses', 'stops', ...(server ? (['cuts', 'cuts'] as const) : [])] as const
  const wanted = new Set<keyof FaultCounts>([...round, ...(server ? (['restarts'] as const) : [])])
  /** What is left of a round: drawn with what was drawn before left out, every kind has its turn soon. */
  let left: (keyof FaultCounts)[] = []
  const make = {
    kills: () => fleet.kill(random()),
    pauses: () => fleet.pause(random(), leaseMs * (1.2 + random())),
    stops: () => fleet.terminate(random()),
    cuts: () => server !== undefined && cut(server, random),
    restarts: () => server !== undefined && restarted(server),
  }
  while (performance.now() < until || wanted.size > 0) {
    await delay(50 + random() * 300)
    if (left.length === 0) left = [...round]
    const isRestart = wanted.has('restarts') && performance.now() > restartAt
    const [choice] = isRestart ? (['restarts'] as const) : left.splice(Math.floor(random() * left.length), 1)
    if (choice === undefined || !(await make[choice]())) continue
    counts[choice]++
    wanted.delete(choice)
  }
  return counts
}

async function restarted(server: PostgresServer): Promise<boolean> {
  await server.restart()
  return true
}

/** Ends up to three sessions of whoever is connected. */
async function cut({ url }: PostgresServer, random: () => number): Promise<boolean> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by pid`,
  )
  const pids = Array.from({ length: 3 }, () => rows[Math.floor(random() * rows.length)]?.pid ?? 0)
  await client.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [pids])
  await client.end()
  return rows.length > 0
}
