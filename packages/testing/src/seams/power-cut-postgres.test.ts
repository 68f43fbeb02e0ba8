import { genesis, sealEvent, type Claim, type Owner, type Store } from '@varve/store'
import { migratePostgres, postgresStore, type PostgresPool } from '@varve/store-postgres'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../test/postgres/server.ts'
import { cutNow, newOrdersLog, outlive, placeOrders, type Cut, type OrdersLog } from './orders.ts'

const ORDERS = 10
/** Of the answers to writes, every so manieth is held back while the folder is copied. */
const EVERY = 2
const COPIES = 6
/** By then every lease has run out. */
const LATER_MS = 3_600_000

/** A copy of the server's data folder, taken while an answer was on its way. */
interface Copy {
  readonly data: string
  /** Expects what was acknowledged before another answer came: that of this one, and those before it. */
  readonly cut: Cut
}

let server: PostgresServer
let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-power-cut-'))
  server = await startPostgres({ durable: true })
}, 60_000)
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

test(
  'a power cut between a commit and its acknowledgement takes nothing back that was acknowledged',
  { timeout: 120_000 },
  async () => {
    const { log, copies } = await placeAndCopy()

    let ahead = 0
    for (const { data, cut } of copies) {
      const outlived = await outliveIn(data, log, cut)
      expect(outlived.faults, data).toEqual([])
      ahead += outlived.ahead
    }

    expect(copies).toHaveLength(COPIES)
    expect(ahead).toBeGreaterThanOrEqual(COPIES / 2)
  },
)

describe('a lease', () => {
  const leasing = { leaseMs: LATER_MS, workflows: [{ name: 'w', versions: ['1'] }], queues: [{ name: 'q' }] }
  const request = { ...leasing, owner: ownerOf('a'), formats: [1], limit: 10 }
  const running = { status: 'running', blockedOn: [], wakeAt: 0 } as const
  const { stored: first } = sealEvent('run-1', genesis('run-1'), { type: 'Sampled', data: {} }, 0)
  const { stored: second } = sealEvent('run-1', first, { type: 'Sampled', data: {} }, 0)

  /** Leases the run, whose last lease had this token, does more, and copies the server's folder before anybody else flushes what that has left. */
  async function leasedAndCut(name: string, more: (store: Store, claim: Claim) => Promise<unknown>, token = 0) {
    const pool = new pg.Pool({ connectionString: server.url, max: 4 })
    try {
      const store = await postgresStore({ pool }, { schema: name, notifications: false })
      const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
      const created = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }
      await store.events.append('run-1', [first], created)
      await pool.query(`update ${name}.runs set token = $1`, [token])
      const { data, walWriter } = await whereabouts(pool)
      process.kill(walWriter, 'SIGSTOP')
      const [claim] = (await store.runs.claim(request)) as [Claim]
      await more(store, claim)
      const copy = path.join(folder, name)
      copyFrozen(data, copy)
      const next = await startPostgres({ data: copy })
      const left = await postgresStore({ url: next.url }, { schema: name, notifications: false, migrate: false })
      return { claim, left, stop: async () => (await left[Symbol.asyncDispose](), next.stop()) }
    } finally {
      await pool.end()
    }
  }

  test.for([
    ['and its token is not given again', 0],
    ['also where the clock of the server was ahead before', Date.now() * 1000 + 3_600_000_000],
  ] as const)('that a power cut takes back is nobody’s, %s', { timeout: 60_000 }, async ([, token]) => {
    const { claim, left, stop } = await leasedAndCut(`taken_back_${token}`, async () => undefined, token)
    try {
      expect(claim.token).toBeGreaterThan(token)
      expect(await left.runs.find('run-1')).toMatchObject({ token, head: 1 })
      const writing = left.events.append('run-1', [second], {
        expectedHead: 1,
        fencingToken: claim.token,
        run: running,
      })
      await expect(writing).rejects.toMatchObject({ code: 'FENCED' })

      const [next] = await left.runs.claim({ ...request, owner: ownerOf('b') })

      // By the clock it is greater, else it is another by chance: 1 of 100,000 would be the same.
      expect(next?.token).not.toBe(claim.token)
      if (token === 0) expect(next?.token).toBeGreaterThan(claim.token)
      await expect(left.runs.renew(claim, { leaseMs: 1 })).rejects.toMatchObject({ code: 'FENCED' })
      expect(await left.runs.release(claim, { expectedHead: 1 })).toBe('lost')
    } finally {
      await stop()
    }
  })

  test('under which something was committed outlives a power cut', { timeout: 60_000 }, async () => {
    const { claim, left, stop } = await leasedAndCut('committed', async (store, { token }) =>
      store.events.append('run-1', [second], { expectedHead: 1, fencingToken: token, run: running }),
    )
    try {
      expect(await left.runs.find('run-1')).toMatchObject({
        token: claim.token,
        lease: { owner: ownerOf('a') },
        head: 2,
      })
    } finally {
      await stop()
    }
  })
})

function ownerOf(id: string): Owner {
  return { id, boot: null, pidNamespace: null, pid: 1, startedAt: null }
}

/** Where a server has its data, and its process that flushes what commits have not waited for. */
async function whereabouts(pool: pg.Pool): Promise<{ readonly data: string; readonly walWriter: number }> {
  const { rows } = await pool.query<{ data: string; pid: number }>(
    `select current_setting('data_directory') as data, pid from pg_stat_activity where backend_type = 'walwriter'`,
  )
  return { data: rows[0]?.data ?? '', walWriter: rows[0]?.pid ?? 0 }
}

/** Places orders on a server of which the folder is copied while answers are held back. */
async function placeAndCopy(): Promise<{ readonly log: OrdersLog; readonly copies: readonly Copy[] }> {
  const log = newOrdersLog()
  const copies: Copy[] = []
  const pool = new pg.Pool({ connectionString: server.url, max: 4 })
  const { data } = await whereabouts(pool)
  await migratePostgres({ pool })
  let last: Copy | undefined
  let writes = 0
  const held = watched(pool, (isWrite) => {
    if (last !== undefined) last.cut.expected = cutNow(log).acknowledged
    last = undefined
    if (!isWrite || ++writes % EVERY !== 0 || copies.length === COPIES) return
    last = { data: path.join(folder, `copy-${copies.length}`), cut: cutNow(log) }
    copyFrozen(data, last.data)
    copies.push(last)
  })
  try {
    await using store = await postgresStore({ pool: held }, { notifications: false, migrate: false })
    await placeOrders(store, log, ORDERS)
  } finally {
    await pool.end()
  }
  return { log, copies }
}

/** Creates and appends, alone or shared, as functions of the database or as plain statements. */
const WRITES = /insert into|"(create|append|share)_/

/** Tells of each answer when it has come, and before anybody hears of it. */
function watched(pool: pg.Pool, tell: (isWrite: boolean) => void): PostgresPool {
  return {
    options: pool.options,
    connect: async () => {
      const client = await pool.connect()
      return {
        query: async (query) => {
          const answer = await client.query(query)
          tell((answer.rowCount ?? 0) > 0 && WRITES.test(query.text))
          return answer
        },
        on: client.on.bind(client),
        removeListener: client.removeListener.bind(client),
        release: (destroy) => client.release(destroy),
      }
    },
  }
}

/**
 * Copies the folder while all processes of the server stand still, so that the copy is of one instant, as after a crash of the
 * machine; but what the server has written and not yet flushed is in it as well. Nothing of this process goes on, either.
 */
function copyFrozen(data: string, to: string): void {
  const [postmaster = ''] = readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')
  // First: it starts no others while it stands.
  process.kill(Number(postmaster), 'SIGSTOP')
  const others = execFileSync('pgrep', ['-P', postmaster], { encoding: 'utf8' }).trim().split('\n').map(Number)
  const all = [...others, Number(postmaster)]
  try {
    for (const pid of others) process.kill(pid, 'SIGSTOP')
    execFileSync('cp', ['-a', data, to])
  } finally {
    for (const pid of all) process.kill(pid, 'SIGCONT')
  }
}

/** What another server makes of the folder, once every lease has run out. */
async function outliveIn(data: string, log: OrdersLog, cut: Cut): ReturnType<typeof outlive> {
  const next = await startPostgres({ data })
  try {
    const options = { notifications: false, migrate: false, now: () => Date.now() + LATER_MS }
    await using store = await postgresStore({ url: next.url }, options)
    return await outlive(store, log, cut)
  } finally {
    await next.stop()
  }
}
