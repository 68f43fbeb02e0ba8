import type {} from '../../../../test/postgres/global-setup.ts'
import * as kernel from '@varve/kernel'
import { isKernelError } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { afterAll, describe, expect, inject, test } from 'vitest'
import type { ProcessFaults } from '../boundaries.ts'
import { judge } from '../matrix/judge.ts'
import { liveToTheEnd, openWorld, playCase, type AnyScenario, type PlayedCase } from '../matrix/play-case.ts'
import { seededRandom } from '../seeded-random.ts'
import { simulatedProcess } from '../simulated-process.ts'
import { virtualClock, type VirtualClock } from '../virtual-clock.ts'
import { approvalScenario } from './approval.ts'
import { isLong, PATIENCE_MS } from './depth.ts'
import { familyScenario } from './family.ts'
import { openPostgres, openSqlite, type OpenStore } from './stores.ts'

const LEASE_MS = 1000
/** The long form tells twenty times as many. */
const TIMES = isLong ? 20 : 1

/** Both processes start the runs, drive them and answer them; each lets the other go first now and then, or oversleeps. */
async function race(scenario: AnyScenario, undisturbed: PlayedCase, seed: number): Promise<readonly string[]> {
  const random = seededRandom(seed)
  const clock = virtualClock()
  const world = await openWorld(scenario, clock.now, kernel.createKernel)
  const faults: ProcessFaults = { onBoundary: () => disturb(random, clock) }
  const processes = [simulatedProcess(world.store, clock, faults), simulatedProcess(world.store, clock, faults)]

  const ends = await Promise.all(processes.map((process, i) => process.finish(liveToTheEnd(world, process, i + 1))))

  // Who has lost the run without knowing it may read what the other one has recorded: its append is refused.
  const record = { ...world.record, facts: { ...world.record.facts, rereads: [] } }
  await world.store[Symbol.asyncDispose]()
  return ends.flatMap((end) => {
    if (end === 'crashed') return ['a process died']
    return judge({ ...end, record, outside: undefined, after: [], struck: true }, undisturbed, true)
  })
}

async function disturb(random: () => number, clock: VirtualClock): Promise<void> {
  for (let turns = Math.floor(random() * 4); turns > 0; turns--) await new Promise(setImmediate)
  if (random() < 0.05) clock.advance(2 * LEASE_MS)
}

/** What the other process answered first has been answered; and no run is given up, however often its driver oversleeps. */
function overtakable(scenario: AnyScenario): AnyScenario {
  const forgive = (error: unknown): void => {
    const codes = ['NOT_OPEN', 'NOT_IN_DOUBT', 'RUN_TERMINAL'] as const
    if (!codes.some((code) => isKernelError(error, code))) throw error
  }
  const kernelOptions = { leaseMs: LEASE_MS, maxRecoveries: 10_000 }
  return { ...scenario, kernel: kernelOptions, answer: (run, scene) => scenario.answer?.(run, scene)?.catch(forgive) }
}

const scenarios: readonly { name: string; on: (open: OpenStore) => AnyScenario; seeds: number }[] = [
  {
    name: 'a run with an approval',
    on: (open) => approvalScenario(kernel, open) as unknown as AnyScenario,
    seeds: 200,
  },
  {
    name: 'a family of runs, one of which acts at most once',
    on: (open) => familyScenario(kernel, 'completes', open) as unknown as AnyScenario,
    seeds: 1000,
  },
]

const inMemory: OpenStore = (options) => Promise.resolve(memoryStore(options))

const postgres = openPostgres(inject('pgUrl'))
afterAll(() => postgres[Symbol.asyncDispose]())

describe.for([...scenarios])('two processes on $name at once', ({ on, seeds: many }) => {
  test.for([
    { name: 'memory', open: () => inMemory, seeds: many * TIMES },
    { name: 'SQLite', open: () => openSqlite, seeds: 10 * TIMES },
    { name: 'Postgres', open: () => postgres, seeds: 5 * TIMES },
  ])(
    'come to one log and one end on $name, in $seeds seeded interleavings',
    { timeout: PATIENCE_MS },
    async ({ open, seeds }) => {
      const scenario = overtakable(on(open()))
      const undisturbed = await playCase(scenario, [], kernel.createKernel)

      for (let seed = 1; seed <= seeds; seed++) {
        const faults = await race(scenario, undisturbed, seed)

        expect(faults, `seed ${seed}`).toEqual([])
      }
    },
  )
})
