import type {} from '../../../../test/postgres/global-setup.ts'
import * as kernel from '@varve/kernel'
import { describe, expect, inject, test } from 'vitest'
import type { Faults } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'
import { tell, type Story, type Told } from './feature-scenario.ts'
import { openMemory, openPostgres, openSqlite, type OpenStore } from './stores.ts'

/** What each story comes to, whatever goes wrong on the way. */
const ends: readonly { story: Story; outcome: object; pays: number; undoes: number; runs: number }[] = [
  {
    story: 'completes',
    outcome: { status: 'completed', output: ['succeeded', 'succeeded', 'timed-out', 'expired'] },
    ...{ pays: 1, undoes: 0, runs: 3 },
  },
  {
    story: 'continues',
    outcome: { status: 'completed', output: ['succeeded', 'succeeded', 'timed-out', 'expired'] },
    ...{ pays: 2, undoes: 0, runs: 6 },
  },
  { story: 'is canceled', outcome: { status: 'canceled', reason: 'enough' }, ...{ pays: 1, undoes: 1, runs: 3 } },
]

/** At least as many boundaries as the longest story has. */
const BOUNDARIES = 170

async function tellOn(open: OpenStore, story: Story, ...lives: readonly Faults[]): Promise<Told> {
  const clock = virtualClock()
  const { store, close } = await open(clock.now)
  try {
    return await tell(kernel, story, store, clock, lives)
  } finally {
    await close()
  }
}

function expectTold(told: Told, { outcome, pays, undoes, runs }: (typeof ends)[number], label: string): void {
  expect(told.outcome, label).toMatchObject(outcome)
  expect(told.faults, label).toEqual([])
  expect(told.runs, label).toBe(runs)
  // Paid once per run that pays, or in doubt and settled: never twice.
  expect(told.effects['pay'] ?? 0, `${label}: payments`).toBeLessThanOrEqual(pays)
  if (undoes > 0) expect(told.effects['undo'], label).toBeGreaterThanOrEqual(undoes)
}

describe.for([...ends])('a family of runs that $story', (end) => {
  const { story } = end

  test('does everything once when nothing goes wrong', async () => {
    const told = await tellOn(openMemory, story)

    expectTold(told, end, 'undisturbed')
    expect(told.boundaries).toBeGreaterThan(60)
    expect(told.boundaries).toBeLessThanOrEqual(BOUNDARIES)
    expect(told.effects['pay']).toBe(end.pays)
  })

  for (const second of [0, 7]) {
    const again = second === 0 ? '' : `, and again at boundary ${second} of the next process`
    test(`ends the same when a process dies at any boundary${again}`, { timeout: 120_000 }, async () => {
      for (let crashAt = 1; crashAt <= BOUNDARIES; crashAt++) {
        const told = await tellOn(openMemory, story, { crashAt }, { crashAt: second })

        expectTold(told, end, `crash at ${crashAt} and ${second}`)
      }
    })
  }

  test('ends the same when the answer of any append is lost', { timeout: 60_000 }, async () => {
    for (let loseAppend = 1; loseAppend <= 40; loseAppend++) {
      const told = await tellOn(openMemory, story, { loseAppend })

      expectTold(told, end, `lost answer ${loseAppend}`)
      expect(told.effects['pay'], `lost answer ${loseAppend}`).toBe(end.pays)
    }
  })
})

describe.for([
  { name: 'SQLite', open: () => openSqlite, every: 9 },
  { name: 'Postgres', open: () => openPostgres(inject('pgUrl')), every: 31 },
])('on $name', ({ open, every }) => {
  test('a family of runs ends the same wherever its process dies', { timeout: 120_000 }, async () => {
    for (const [i, end] of ends.entries()) {
      for (let crashAt = 1 + i; crashAt <= BOUNDARIES; crashAt += every) {
        const told = await tellOn(open(), end.story, { crashAt }, {})

        expectTold(told, end, `${end.story}, crash at ${crashAt}`)
      }
    }
  })
})
