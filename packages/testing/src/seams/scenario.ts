import type * as Kernel from '@varve/kernel'
import type { Store, StoredEvent } from '@varve/store'
import { z } from 'zod'
import { simulatedProcess, type Faults, type SimulatedProcess } from '../simulated-process.ts'
import type { VirtualClock } from '../virtual-clock.ts'

/** The functions of a kernel that a scenario uses: the real one's, or a mutant's. */
export type KernelModule = Pick<typeof Kernel, 'createKernel' | 'defineWorkflow' | 'ActionError'>

/** What happened outside, for all processes together. */
export interface World {
  /** How often each idempotency key took effect. */
  readonly effects: Map<string, number>
  /** Keys of actions that were called before their request was in the log. */
  readonly early: string[]
}

/** Everything that is there to be looked at when a scenario is over. */
export interface Played extends World {
  readonly output: unknown
  readonly crashes: number
  readonly log: readonly StoredEvent[]
  readonly boundaries: number
}

export const RUN_ID = 'seam'
export const LEASE_MS = 30_000

/**
 * A workflow that uses every seam of the run loop: an action, events of its own, a fan-out of three, one of which fails at
 * first, with an approval beside them.
 */
export function seamWorkflow({ defineWorkflow, ActionError }: KernelModule, process: SimulatedProcess, world: World) {
  const act = async <T>(ctx: Kernel.ActionContext, result: T): Promise<T> => {
    if (!(await isRequested(process.store, ctx.key))) world.early.push(ctx.key)
    return process.effect(() => {
      world.effects.set(ctx.key, (world.effects.get(ctx.key) ?? 0) + 1)
      return result
    })
  }
  const actions = {
    first: { run: (input: { z: number; b: number }, ctx: Kernel.ActionContext) => act(ctx, { z: input.z, b: 0 }) },
    part: { run: (input: number, ctx: Kernel.ActionContext) => act(ctx, input) },
    shaky: {
      retry: { maxAttempts: 50, baseMs: 100, factor: 1, jitter: 'none' as const },
      run: async (input: number, ctx: Kernel.ActionContext) => {
        // Every other try fails, so that failures and crashes mix.
        if (ctx.attempt % 2 === 1) throw new ActionError('transient', 'not yet')
        return act(ctx, input)
      },
    },
  }
  return defineWorkflow(
    {
      ...{ name: 'seam', version: '1', input: z.object({ base: z.number() }), actions },
      interrupts: { approve: { ask: z.object({ sum: z.string() }), answer: z.boolean() } },
      events: { counted: z.number() },
      initialState: ({ base }): SeamState => ({ base, first: null, counted: 0, parts: {}, approved: null }),
    },
    {
      reduce(state, event) {
        if (event.type === 'DomainEvent') return { ...state, counted: event.data.payload }
        if (event.type === 'Resumed') return { ...state, approved: event.data.value }
        if (event.type !== 'ActionSucceeded') return state
        if (event.data.action === 'first') return { ...state, first: event.data.output.z }
        return { ...state, parts: { ...state.parts, [event.data.key]: event.data.output } }
      },
      step(state, next) {
        if (state.first === null) return next.run('first', { z: state.base, b: 2 })
        if (state.counted < 3) return next.emit({ type: 'DomainEvent', name: 'counted', payload: state.counted + 1 })
        if (Object.keys(state.parts).length < 3 || state.approved === null) {
          return next.all([
            next.run('part', state.first, { key: 'p1' }),
            next.run('shaky', state.first, { key: 'p2' }),
            next.run('part', state.first, { key: 'p3' }),
            next.interrupt('approve', { sum: 'of three' }),
          ])
        }
        const sum = Object.values(state.parts).reduce((total, part) => total + part, 0)
        return next.complete({ sum, approved: state.approved })
      },
    },
  )
}

interface SeamState {
  readonly base: number
  readonly first: number | null
  readonly counted: number
  readonly parts: Readonly<Record<string, number>>
  readonly approved: boolean | null
}

async function isRequested(store: Store, key: string): Promise<boolean> {
  for await (const { type, body } of store.events.read(RUN_ID)) {
    if (type === 'ActionRequested' && (JSON.parse(body) as { readonly key: string }).key === key) return true
  }
  return false
}

/** One life after the other: the faults of each process of a scenario; those after the last have none. */
export interface ScenarioOptions {
  readonly kernel: KernelModule
  readonly store: Store
  readonly clock: VirtualClock
  readonly lives: readonly Faults[]
}

/** Plays a scenario to its end: whenever the process has died, the next one takes the run up; every block is answered. */
export async function play({ kernel, store, clock, lives }: ScenarioOptions): Promise<Played> {
  const world: World = { effects: new Map(), early: [] }
  let crashes = 0
  let boundaries = 0
  for (let life = 0; life < 20; life++) {
    const process = simulatedProcess(store, clock, lives[life] ?? {})
    const result = await process.finish(live(kernel, process, world))
    boundaries = Math.max(boundaries, process.boundaries())
    if (result !== 'crashed') {
      const log = await readLog(store)
      return { ...world, output: result, crashes, log, boundaries }
    }
    crashes++
  }
  throw new Error('the scenario does not end')
}

async function readLog(store: Store): Promise<StoredEvent[]> {
  const log: StoredEvent[] = []
  for await (const event of store.events.read(RUN_ID)) log.push(event)
  return log
}

/** What a dying process warns of is of no interest. */
function ignore(): void {
  return undefined
}

/** What each process does: start the run, or continue it, and answer its question twice. */
export async function live(kernel: KernelModule, process: SimulatedProcess, world: World): Promise<unknown> {
  const { store, clock, owner } = process
  const workflow = seamWorkflow(kernel, process, world)
  const varve = kernel.createKernel({
    store,
    clock,
    owner,
    leaseMs: LEASE_MS,
    workflows: [workflow],
    onWarning: ignore,
  })
  let outcome = await varve.start(workflow, { base: 1 }, { runId: RUN_ID })
  while (outcome.status === 'blocked' && outcome.blockedOn.some(({ kind }) => kind === 'interrupt')) {
    const answer = { key: 'approve', value: true }
    const [once] = await Promise.all([varve.resume(RUN_ID, answer), varve.resume(RUN_ID, answer)])
    outcome = once as typeof outcome
  }
  await varve[Symbol.asyncDispose]()
  return outcome
}

/**
 * Opens the log without its end in a store of its own: a fresh kernel asks the code again for every recorded decision and
 * comes to the same end, or parks the run.
 */
export async function endOfReopened(
  kernel: KernelModule,
  log: readonly StoredEvent[],
  store: Store,
  clock: VirtualClock,
): Promise<unknown> {
  const process = simulatedProcess(store, clock)
  const workflow = seamWorkflow(kernel, process, { effects: new Map(), early: [] })
  const run = { status: 'running', blockedOn: [], wakeAt: 0 } as const
  const create = { workflow: workflow.name, version: workflow.version, tags: [], queue: 'default' }
  const open = log.slice(0, -1)
  await store.events.append(RUN_ID, open, { expectedHead: 0, fencingToken: 0, run: { ...run, create } })
  const varve = kernel.createKernel({ store, clock, workflows: [workflow] })
  return process.finish(varve.run(RUN_ID))
}
