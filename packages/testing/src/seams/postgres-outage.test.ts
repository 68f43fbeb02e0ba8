import * as kernel from '@varve/kernel'
import { isStoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { postgresStore } from '@varve/store-postgres'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../test/postgres/server.ts'
import { passBoundaries } from '../boundaries.ts'
import { judge } from '../matrix/judge.ts'
import { liveToTheEnd, openWorld, playCase, type AnyScenario, type CaseWorld } from '../matrix/play-case.ts'
import { interceptStore, type StoreCall } from '../wrapped-store.ts'
import { familyScenario } from './family.ts'

/** Any number will do: nobody else takes advisory locks on this server. */
const GATE = 7
const LIVES = 50
/** Cannot be renewed while an append is held, and is not lost for that, however slow the machine. */
const KEPT_LEASE_MS = 60_000
/** Whoever follows a program that has given up waits for its end; an outage may well take longer. */
const BRIEF_LEASE_MS = 1000
const LOOKS = 500

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ durable: true })
}, 60_000)
afterAll(() => server.stop())

test(
  'an append whose connection is terminated while its statement runs is settled, each of them once',
  { timeout: 60_000 },
  async () => {
    let terminated = 0
    const outage = async (): Promise<void> => {
      await terminateHeld()
      terminated++
    }

    const { faults, lives } = await tellWith('terminated', () => true, outage, KEPT_LEASE_MS)

    expect(faults).toEqual([])
    expect(lives).toBe(1)
    expect(terminated).toBeGreaterThan(10)
  },
)

test('a run goes on when the server is restarted while an append runs', { timeout: 60_000 }, async () => {
  let restarted = 0
  const outage = async (): Promise<void> => {
    await server.restart()
    restarted++
  }

  const isChosen = (count: number): boolean => [1, 2, 6, 10].includes(count)

  const { faults } = await tellWith('restarted', isChosen, outage, BRIEF_LEASE_MS)

  expect(faults).toEqual([])
  expect(restarted).toBe(4)
})

/** Tells the family's story by the clock of the machine, with an outage in the midst of the appends that are chosen. */
async function tellWith(
  schema: string,
  isChosen: (count: number) => boolean,
  outage: () => Promise<void>,
  leaseMs: number,
): Promise<{ readonly faults: readonly string[]; readonly lives: number }> {
  await using shared = await postgresStore({ url: server.url }, { schema })
  await query(HOLD(schema))
  const scenario = scenarioOn(shared, leaseMs)
  const undisturbed = await playCase(scenarioOn(undefined, leaseMs), [], kernel.createKernel)
  const world = await openWorld(scenario, Date.now, kernel.createKernel)
  const met = new Set<string>()
  let last = Promise.resolve()
  const onBoundary = async (boundary: string, call?: StoreCall): Promise<void> => {
    if (call?.name !== 'events.append' || !boundary.endsWith(':before')) return
    const [runId, , { expectedHead }] = call.args as Parameters<Store['events']['append']>
    const append = `${runId} ${expectedHead}`
    if (met.has(append) || !isChosen(met.add(append).size)) return
    // One after the other: whoever waits for a closed gate to close it would be taken for an append.
    const closed = last.then(closeGate)
    last = closed.then(({ open }) => whileHeld(outage).finally(open))
    await closed
  }
  for (let life = 1; life <= LIVES; life++) {
    const ended = await live(world, life, onBoundary)
    await last
    if (ended === 'gave up') continue
    const played = { ...ended, record: world.record, outside: undefined, after: [], struck: true }
    // A run whose lease was lost meanwhile goes on as behind a death.
    return { faults: judge(played, undisturbed, life > 1 || leaseMs === BRIEF_LEASE_MS), lives: life }
  }
  throw new Error('the story does not end')
}

/** One program that starts, and gives up when the database stays away for too long. */
async function live(world: CaseWorld, life: number, onBoundary: (boundary: string, call?: StoreCall) => Promise<void>) {
  const { passCall, passing } = passBoundaries(
    { onBoundary },
    () => true,
    () => undefined,
  )
  const store = interceptStore(world.store, (call, proceed) => (call.mutates ? passCall(call, proceed) : proceed()))
  const living = { store, clock: kernel.systemClock, owner: kernel.processOwner(), passing }
  try {
    return await liveToTheEnd(world, living, life)
  } catch (error) {
    if (isStoreError(error) && (error.retryable || error.code === 'UNKNOWN_OUTCOME')) return 'gave up'
    throw error
  }
}

function scenarioOn(store: Store | undefined, leaseMs: number): AnyScenario {
  const pace = { nap: 20, patience: 50 }
  const scenario = familyScenario(kernel, 'completes', store === undefined ? memoryStore : () => store, { pace })
  return { ...scenario, kernel: { leaseMs } } as unknown as AnyScenario
}

/** Every insert of events waits, within its statement, for the gate to open. */
const HOLD = (schema: string): string => `
  create function "${schema}".hold() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(${GATE}); return null; end $$;
  create trigger hold after insert on "${schema}".events for each statement execute function "${schema}".hold()`

/** Closes the gate until it is opened, or until the server cuts this connection as well. */
async function closeGate(): Promise<{ readonly open: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: server.url })
  client.on('error', () => undefined)
  await client.connect()
  await client.query(`select pg_advisory_lock(${GATE})`)
  return { open: () => client.end().catch(() => undefined) }
}

const HELD = `select pid from pg_stat_activity where wait_event_type = 'Lock' and wait_event = 'advisory'`

/** Nothing is held when the store has refused the append before it inserted anything. */
async function whileHeld(outage: () => Promise<void>): Promise<void> {
  for (let look = 0; look < LOOKS; look++) if ((await query(HELD)).length > 0) return outage()
}

async function terminateHeld(): Promise<void> {
  await query(`select pg_terminate_backend(pid) from (${HELD}) held`)
}

async function query(sql: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql)
    return rows
  } finally {
    await client.end()
  }
}
