// A real process that tells the family's story on SQLite files, by the clock of the machine, until it has ended or is killed.
//
// Its argument is a list of tasks, worked off at once. For each it prints `at <boundary>` and stands still when it has come to
// the boundary at which it shall be killed, else `ended <JSON>`.
import { appendFileSync, writeSync } from 'node:fs'
import process from 'node:process'
import * as kernel from '@varve/kernel'
import { sqliteStore } from '@varve/store-sqlite'
import { passBoundaries, type BoundaryName } from '../boundaries.ts'
import { liveToTheEnd, openWorld, type AnyScenario } from '../matrix/play-case.ts'
import { interceptStore } from '../wrapped-store.ts'
import { familyScenario } from './family.ts'

/** One story on one file. */
export interface VictimTask {
  /** The database. */
  readonly path: string
  /** Every effect adds a line with its idempotency key and its action's name to this file. */
  readonly effects: string
  readonly life: number
  readonly killAt?: BoundaryName
}

/** What a victim that was not killed prints of each task. */
export interface VictimEnd {
  readonly path: string
  readonly runs: Readonly<Record<string, unknown>>
  readonly faults: readonly string[]
  readonly boundaries: readonly BoundaryName[]
}

/** Soon over, but with all the waits of the story. */
const PACE = { nap: 20, patience: 50 }

async function work({ path, effects, life, killAt }: VictimTask): Promise<VictimEnd> {
  await using shared = await sqliteStore({ path })
  const scenario = familyScenario(kernel, 'completes', () => shared, {
    pace: PACE,
    onEffect: ({ idempotencyKey, key }) => {
      appendFileSync(effects, `${idempotencyKey} ${key}\n`)
    },
  })
  const { passed, passCall, passing } = passBoundaries(
    { onBoundary: (boundary) => (boundary === killAt ? standStill(boundary) : undefined) },
    () => true,
    () => undefined,
  )
  const store = interceptStore(shared, (call, proceed) => (call.mutates ? passCall(call, proceed) : proceed()))
  const world = await openWorld(
    { ...scenario, kernel: { leaseMs: 1000 } } as unknown as AnyScenario,
    Date.now,
    kernel.createKernel,
  )
  const living = { store, clock: kernel.systemClock, owner: kernel.processOwner(), passing }
  const { runs, faults } = await liveToTheEnd(world, living, life)
  return { path, runs: Object.fromEntries(runs), faults, boundaries: passed }
}

/** Blocks the whole process, so that nothing of it goes on while it waits for its death. */
function standStill(boundary: BoundaryName): void {
  writeSync(1, `at ${boundary}\n`)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

const tasks = JSON.parse(process.argv[2] ?? '[]') as readonly VictimTask[]
await Promise.all(
  tasks.map(async (task) => {
    const end = await work(task)
    writeSync(1, `ended ${JSON.stringify(end)}\n`)
  }),
)
