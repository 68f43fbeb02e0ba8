import type {} from '../../../../test/postgres/global-setup.ts'
import * as kernel from '@varve/kernel'
import type { Store } from '@varve/store'
import { describe, expect, inject, test } from 'vitest'
import { simulatedProcess, type Faults } from '../simulated-process.ts'
import { virtualClock, type VirtualClock } from '../virtual-clock.ts'
import { endOfReopened, LEASE_MS, live, play, RUN_ID, type Played, type World } from './scenario.ts'
import { seededRandom } from './seeded-random.ts'
import { openMemory, openPostgres, openSqlite, type OpenStore } from './stores.ts'

const DONE = { status: 'completed', runId: RUN_ID, output: { sum: 3, approved: true } }
const KEYS = ['first', 'p1', 'p2', 'p3']
const NEVER = Number.POSITIVE_INFINITY

/** At least as many boundaries as the undisturbed scenario has; crashing at a later one means not crashing. */
const BOUNDARIES = 38

async function playOn(open: OpenStore, ...lives: readonly Faults[]): Promise<Played & { readonly waiting: number }> {
  const clock = virtualClock()
  const { store, close } = await open(clock.now)
  try {
    const played = await play({ kernel, clock, lives: lives.map((faults) => ({ ...faults })), store })
    return { ...played, waiting: (await store.inbox.list(RUN_ID, { limit: 10 })).length }
  } finally {
    await close()
  }
}

async function expectSound(played: Played & { readonly waiting: number }, label: string): Promise<void> {
  expect(played.output, label).toEqual(DONE)
  expect(played.early, `${label}: called before the request was durable`).toEqual([])
  expect(played.waiting, `${label}: posts left behind`).toBe(0)
  expect([...played.effects.keys()].sort(), label).toEqual(KEYS)
  for (const [key, times] of played.effects) {
    expect(times, `${label}: effects of ${key}`).toBeLessThanOrEqual(1 + played.crashes)
  }
  const clock = virtualClock()
  const { store, close } = await openMemory(clock.now)
  expect(await endOfReopened(kernel, played.log, store, clock), `${label}: reopened`).toEqual(DONE)
  await close()
}

/** Posts of another process: an answer twice, perhaps too early, and one that no question is open for. */
function postsAt(store: () => Store, boundary: number): Faults['onBoundary'] {
  let posted = false
  return async (number) => {
    if (posted || number < boundary) return
    const { inbox, runs } = store()
    if ((await runs.find(RUN_ID)) === undefined) return
    posted = true
    for (const [id, key] of [
      ['a1', 'approve'],
      ['a1', 'approve'],
      ['other', 'nobody-asked'],
    ] as const) {
      const body = JSON.stringify({ key, value: true })
      await inbox.post(RUN_ID, { id, type: 'Resumed', body }, { maxWaiting: 10 }).catch(() => undefined)
    }
  }
}

async function playWithPosts(open: OpenStore, post: number, ...lives: readonly Faults[]) {
  let shared: Store | undefined
  const opening: OpenStore = async (now) => {
    const opened = await open(now)
    shared = opened.store
    return opened
  }
  const onBoundary = postsAt(() => shared as Store, post)
  return playOn(opening, ...lives.map((faults) => ({ ...faults, ...(onBoundary && { onBoundary }) })))
}

describe('an undisturbed run', () => {
  test('passes as many boundaries as the crash matrix covers, and does everything once', async () => {
    const played = await playOn(openMemory)

    expect(played.boundaries).toBeGreaterThan(30)
    expect(played.boundaries).toBeLessThanOrEqual(BOUNDARIES)
    expect(Object.fromEntries(played.effects)).toEqual({ first: 1, p1: 1, p2: 1, p3: 1 })
    await expectSound(played, 'undisturbed')
  })
})

describe.for([
  { second: NEVER, title: 'once' },
  { second: 1, title: 'and again at the first boundary of the next process' },
  { second: 3, title: 'and again at the third boundary of the next process' },
  { second: 11, title: 'and again at the eleventh boundary of the next process' },
])('a process that dies $title, in memory', ({ second }) => {
  for (const post of [1, 3, 6, 10, NEVER]) {
    for (const loseAppend of [NEVER, 1, 2, 3, 5]) {
      const posts = post === NEVER ? 'without posts' : `with posts at boundary ${post}`
      const answers = loseAppend === NEVER ? 'every answer received' : `the answer of append ${loseAppend} lost`
      const title = `loses nothing, ${posts} and ${answers}`
      test(title, { timeout: 60_000 }, async () => {
        for (let crashAt = 1; crashAt <= BOUNDARIES; crashAt++) {
          const label = `crash at ${crashAt} and ${second}, posts ${post}, lost answer ${loseAppend}`

          const played = await playWithPosts(openMemory, post, { crashAt, loseAppend }, { crashAt: second }, {})

          await expectSound(played, label)
        }
      })
    }
  }
})

describe('two processes on one run at once', () => {
  async function race(open: OpenStore, seed: number): Promise<void> {
    const random = seededRandom(seed)
    const clock = virtualClock()
    const { store, close } = await open(clock.now)
    const world: World = { effects: new Map(), early: [] }
    const faults = (): Faults => ({ onBoundary: () => disturb(random, clock) })
    const processes = [simulatedProcess(store, clock, faults()), simulatedProcess(store, clock, faults())]

    const outcomes = await Promise.all(processes.map((process) => process.finish(live(kernel, process, world))))

    expect(outcomes, `seed ${seed}`).toEqual([DONE, DONE])
    expect(world.early, `seed ${seed}`).toEqual([])
    const log = []
    for await (const event of store.events.read(RUN_ID)) log.push(event)
    const fresh = await openMemory(clock.now)
    expect(await endOfReopened(kernel, log, fresh.store, clock), `seed ${seed}`).toEqual(DONE)
    await close()
  }

  /** Lets the other process go first for a while, or sleeps through the own lease. */
  async function disturb(random: () => number, clock: VirtualClock): Promise<void> {
    for (let turns = Math.floor(random() * 4); turns > 0; turns--) await new Promise(setImmediate)
    if (random() < 0.05) clock.advance(2 * LEASE_MS)
  }

  for (const [name, open, seeds] of stores()) {
    test(`come to one log and one end on ${name}, in ${seeds} seeded interleavings`, { timeout: 120_000 }, async () => {
      for (let seed = 1; seed <= seeds; seed++) await race(open(), seed)
    })
  }

  function stores(): [string, () => OpenStore, number][] {
    return [
      ['memory', () => openMemory, 200],
      ['SQLite', () => openSqlite, 10],
      ['Postgres', () => openPostgres(inject('pgUrl')), 5],
    ]
  }
})

describe.for([
  { name: 'SQLite', open: () => openSqlite, every: 1 },
  { name: 'Postgres', open: () => openPostgres(inject('pgUrl')), every: 2 },
])('on $name', ({ open, every }) => {
  test('a process that dies at any boundary loses nothing', { timeout: 120_000 }, async () => {
    for (let crashAt = 1; crashAt <= BOUNDARIES; crashAt += every) {
      const played = await playWithPosts(open(), 6, { crashAt, loseAppend: 4 }, { crashAt: 5 }, {})

      await expectSound(played, `crash at ${crashAt}`)
    }
  })
})
