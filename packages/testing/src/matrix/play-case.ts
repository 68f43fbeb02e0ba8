import type { createKernel, Kernel, Workflow } from '@varve/kernel'
import { allItems, isTerminal, type RunRow, type Store } from '@varve/store'
import type { BoundaryName, ProcessFaults } from '../boundaries.ts'
import { TestingError } from '../errors.ts'
import { simulatedProcess, type SimulatedProcess } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'
import { boundaryOf, isLostAnswer, livesOf, type CrashPoint } from './crash-point.ts'
import { faultsOfEnding } from './endings.ts'
import { outcomeAndState } from './outcome-and-state.ts'
import { newRecord, observed, probeOf, recorded, recordedKernel, type CaseRecord } from './record.ts'
import type { CrashScenario, EndedRun, Scene } from './scenario.ts'

/** Any scenario, where its types do not matter. */
export type AnyScenario = CrashScenario<Readonly<Record<string, Workflow>>, unknown>

/** What the runs of one case came to. */
export interface Ended {
  /** What is compared of each run, by run id. */
  readonly runs: ReadonlyMap<string, unknown>
  /** One sentence for each thing that is wrong whatever it is compared with. */
  readonly faults: readonly string[]
}

/** One case, played to its end. */
export interface PlayedCase extends Ended {
  readonly record: CaseRecord
  /** What is compared of the outside. */
  readonly outside: unknown
  /** Boundaries passed since the last point struck; all of them when there is none. */
  readonly after: readonly BoundaryName[]
  /** False when one of the points was never come to. */
  readonly struck: boolean
}

/** What all processes of one case have in common. */
export interface CaseWorld {
  readonly scenario: AnyScenario
  readonly store: Store
  readonly outside: unknown
  readonly record: CaseRecord
  readonly createKernel: typeof createKernel
}

const LEASE_MS = 1000
/** A scenario that is asked so often and does not end never will. */
const TURNS = 1000

/** A process as a scenario needs it: a simulated one, or a real one. */
export type LivingProcess = Pick<SimulatedProcess, 'store' | 'clock' | 'owner' | 'passing'>

/** A world at its beginning. The caller disposes of its store. */
export async function openWorld(
  scenario: AnyScenario,
  now: () => number,
  create: typeof createKernel,
): Promise<CaseWorld> {
  const record = newRecord()
  // Made first: should it throw, no store is left open.
  const outside = scenario.outside?.()
  const store = observed(await scenario.open({ now }), record)
  return { scenario, store, outside, record, createKernel: create }
}

/** Plays a scenario to its end: whenever a process has died at one of the points, the next one takes over. */
export async function playCase(
  scenario: AnyScenario,
  points: readonly CrashPoint[],
  create: typeof createKernel,
): Promise<PlayedCase> {
  const clock = virtualClock()
  const world = await openWorld(scenario, clock.now, create)
  const { store, record, outside } = world
  let struck = true
  try {
    for (const [index, life] of livesOf(points).entries()) {
      const process = simulatedProcess(store, clock, faultsOf(world, life))
      const ended = await process.finish(liveToTheEnd(world, process, index + 1))
      const passed = process.boundaries()
      struck &&= life.every((point) => passed.includes(boundaryOf(point)))
      if (ended === 'crashed') continue
      struck &&= life.every(isLostAnswer)
      const last = life.at(-1)
      const after = last === undefined ? passed : passed.slice(passed.indexOf(boundaryOf(last)) + 1)
      return { ...ended, record, after, struck, outside: scenario.compareOutside?.(outside) }
    }
  } finally {
    await store[Symbol.asyncDispose]()
  }
  throw new TestingError('INVALID_SCENARIO', 'the last process died although nothing struck it')
}

function faultsOf({ scenario: { meanwhile }, store, outside }: CaseWorld, life: readonly CrashPoint[]): ProcessFaults {
  const crash = life.find((point) => !isLostAnswer(point))
  return {
    loseAnswerAt: life.filter(isLostAnswer).map(boundaryOf),
    ...(crash && { crashAt: boundaryOf(crash) }),
    ...(meanwhile && { onBoundary: (boundary) => meanwhile(boundary, { store, outside }) }),
  }
}

/** What one process does: begins, or goes on, and does what the outside does until nothing is left to do. */
export async function liveToTheEnd(world: CaseWorld, process: LivingProcess, life: number): Promise<Ended> {
  const { scenario, outside, record } = world
  const { begin, workflows: make, compare = outcomeAndState } = scenario
  const probe = probeOf(process, record)
  const watch = <W extends Workflow>(workflow: W): W => recorded(workflow, process, record)
  const made = Object.entries(make(probe, outside))
  const workflows = Object.fromEntries(made.map(([name, workflow]) => [name, watch(workflow)]))
  // Until a run is there a process has left nothing behind: the next one draws the same seeds.
  const { items: known } = await process.store.runs.list({}, { limit: 1 })
  const generation = known.length === 0 ? 1 : life
  let ids = 0
  const kernel = world.createKernel({
    ...{ leaseMs: LEASE_MS, onWarning: () => undefined, ...scenario.kernel },
    ...{ store: process.store, clock: process.clock, owner: process.owner, workflows: Object.values(workflows) },
    newId: () => `id-${generation}-${++ids}`,
  })
  try {
    const { effect } = probe
    const watched = recordedKernel(kernel, watch)
    const { store, clock } = process
    const scene: Scene<typeof workflows, unknown> = { kernel: watched, workflows, outside, store, clock, effect }
    await begin(scene)
    await untilQuiet(world, process, scene)
    const rows = await listAll(kernel)
    const ended = await Promise.all(rows.map((row) => endedRun(kernel, row)))
    const faults = [
      ...ended.map((run) => faultsOfEnding(run, scenario)),
      ...(await Promise.all(rows.map((row) => faultsOfRun(kernel, row)))),
    ]
    return { runs: new Map(ended.map((run) => [run.runId, compare(run)])), faults: faults.flat() }
  } finally {
    // Of a process that has died nothing can be closed; whoever waits for it knows.
    await Promise.resolve(kernel[Symbol.asyncDispose]()).catch(() => undefined)
  }
}

/** Takes runs up, answers them and lets time pass, until all have ended and nobody owes anything. */
async function untilQuiet(
  { scenario: { answer } }: CaseWorld,
  process: LivingProcess,
  scene: Scene<Readonly<Record<string, Workflow>>, unknown>,
): Promise<void> {
  const { kernel } = scene
  const asked = new Map<string, number>()
  for (let turn = 0; turn < TURNS; turn++) {
    await kernel.recover()
    // All in one list: in two, a run that is paid for meanwhile would be in neither.
    const rows = await listAll(kernel)
    const unfinished = rows.filter(({ status, owes }) => !isTerminal(status) || owes.length > 0)
    if (unfinished.length === 0) return
    let answered = false
    for (const run of unfinished) {
      // An answer that changed nothing is not asked for again: then it is time that the run waits for.
      const answering = isAtRest(run, process) && asked.get(run.runId) !== run.head && answer?.(run, scene)
      if (!answering) continue
      asked.set(run.runId, run.head)
      await answering
      answered = true
    }
    if (!answered) await untilDue(process, unfinished)
  }
  throw new TestingError('INVALID_SCENARIO', `the runs do not end within ${TURNS} answers`)
}

/** @throws TestingError `INVALID_SCENARIO` when time alone moves none of the runs. */
async function untilDue({ clock }: LivingProcess, rows: readonly RunRow[]): Promise<void> {
  const parked = rows.find(({ problem }) => problem?.retryAt === null)
  if (parked?.problem)
    throw new TestingError('INVALID_SCENARIO', `run ${parked.runId} is parked: ${parked.problem.message}`)
  const dueAt = Math.min(...rows.map((row) => dueOf(row, clock.now())))
  if (dueAt === Number.POSITIVE_INFINITY) {
    const waits = rows.map((row) => `${row.runId} (${row.workflow}) waits for ${blockersOf(row)}`).join('; ')
    throw new TestingError('INVALID_SCENARIO', `nothing moves on: ${waits}; give the scenario an \`answer\` for it`)
  }
  await new Promise<void>((resolve) => {
    clock.schedule(Math.max(1, dueAt - clock.now()), resolve)
  })
}

/** What a process is at work on, or has been sent, is not answered: that would be a second answer. */
function isAtRest({ status, lease, waiting }: RunRow, { clock }: LivingProcess): boolean {
  return status === 'blocked' && waiting === 0 && (lease === undefined || lease.until <= clock.now())
}

function dueOf({ wakeAt, lease, problem }: RunRow, now: number): number {
  if (lease !== undefined && lease.until > now) return lease.until
  return Math.max(wakeAt ?? Number.POSITIVE_INFINITY, problem?.retryAt ?? 0)
}

function blockersOf({ blockedOn }: RunRow): string {
  return blockedOn
    .map(({ kind, key, inDoubt }) => `${kind} ${key}${inDoubt === true ? ', which is in doubt' : ''}`)
    .join(', ')
}

function listAll(kernel: Kernel): Promise<RunRow[]> {
  return Array.fromAsync(allItems((page) => kernel.list({}, page)))
}

async function endedRun(kernel: Kernel, { runId, workflow }: RunRow): Promise<EndedRun> {
  const [outcome, { state }] = await Promise.all([kernel.run(runId), kernel.replay(runId)])
  return { runId, workflow, outcome, state }
}

async function faultsOfRun(kernel: Kernel, { runId, status, owes, waiting, problem }: RunRow): Promise<string[]> {
  const verified = await kernel.verify(runId)
  return [
    ...(!isTerminal(status) ? [`run ${runId} is still ${status}`] : []),
    ...(owes.length > 0 ? [`run ${runId} still owes`] : []),
    ...(waiting > 0 ? [`run ${runId} left ${waiting} posts waiting`] : []),
    ...(problem === undefined ? [] : [`run ${runId} is parked: ${problem.message}`]),
    ...(verified.ok ? [] : [`the log of run ${runId} does not verify: ${verified.message}`]),
  ]
}
