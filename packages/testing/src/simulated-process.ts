import type { Clock, Timer } from '@varve/kernel'
import { StoreError, type Owner, type Store } from '@varve/store'
import type { VirtualClock } from './virtual-clock.ts'
import { interceptStore, type StoreCall } from './wrapped-store.ts'

/** What goes wrong in a simulated process. Counts start at 1. */
export interface Faults {
  /** Dies at this boundary. Every mutating call of the store has two, before and after; so has every {@link SimulatedProcess.effect}. */
  readonly crashAt?: number
  /** This append commits, but its answer is lost. */
  readonly loseAppend?: number
  /** Called before each boundary, with its number; may post, or let time pass. */
  readonly onBoundary?: (boundary: number, call?: StoreCall) => Promise<void> | void
}

/** Thrown into a simulated process when it dies, and at everything it tries afterwards. */
export class SimulatedCrash extends Error {
  constructor() {
    super('the simulated process has died')
    this.name = 'SimulatedCrash'
  }
}

/** One process of several that use the same store: it can die at any boundary, and then does nothing any more. */
export interface SimulatedProcess {
  /** The shared store as this process reaches it. */
  readonly store: Store
  /** The shared time; timers of this process die with it. */
  readonly clock: Clock
  /** An owner that no other process can recognise as dead: its leases have to run out. */
  readonly owner: Owner
  /** True until it dies. */
  isAlive(): boolean
  /** Boundaries passed so far. */
  boundaries(): number
  /** Something this process does to the outside world, between two boundaries. */
  effect<T>(act: () => T): Promise<T>
  /**
   * Waits for what this process is doing, letting time pass whenever it can only wait for time.
   *
   * @returns `crashed` when the process died first.
   */
  finish<T>(work: Promise<T>): Promise<T | 'crashed'>
  /** Kills it from outside. */
  kill(): void
}

let processes = 0

/** A process over a shared store and a shared clock. */
export function simulatedProcess(shared: Store, clock: VirtualClock, faults: Faults = {}): SimulatedProcess {
  const life = { alive: true, boundaries: 0, appends: 0, calls: 0 }
  const timers = new Set<Timer>()
  const isAlive = (): boolean => life.alive
  const kill = (): void => {
    life.alive = false
    for (const timer of timers) timer.cancel()
    timers.clear()
  }
  const boundary = async (call?: StoreCall): Promise<void> => {
    if (!isAlive()) throw new SimulatedCrash()
    const number = ++life.boundaries
    await faults.onBoundary?.(number, call)
    if (number === faults.crashAt) kill()
    if (!isAlive()) throw new SimulatedCrash()
  }
  const store = interceptStore(shared, async (call, proceed) => {
    life.calls++
    try {
      if (!call.mutates) {
        if (!isAlive()) throw new SimulatedCrash()
        return await proceed()
      }
      await boundary(call)
      const answer = await proceed()
      await boundary(call)
      if (call.name === 'events.append' && ++life.appends === faults.loseAppend) {
        throw new StoreError('UNKNOWN_OUTCOME', 'the answer was lost on purpose')
      }
      return answer
    } finally {
      life.calls--
    }
  })
  return {
    store,
    clock: ownTimers(clock, timers),
    owner: { id: `process-${++processes}`, boot: null, pidNamespace: null, pid: 1, startedAt: null },
    isAlive,
    boundaries: () => life.boundaries,
    effect: async (act) => {
      await boundary()
      const result = act()
      await boundary()
      return result
    },
    finish: (work) => finish(work, clock, { isAlive, isCalling: () => life.calls > 0 }),
    kill,
  }
}

/** The shared clock, with timers that this process takes to its grave. */
function ownTimers(clock: VirtualClock, timers: Set<Timer>): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    schedule: (ms, fn) => {
      const timer = clock.schedule(ms, () => {
        timers.delete(timer)
        fn()
      })
      timers.add(timer)
      return timer
    },
  }
}

/** Longest wait for something that is neither time nor a call of the store: a process that hangs is a failure. */
const IDLE_ROUNDS = 10_000

async function finish<T>(
  work: Promise<T>,
  clock: VirtualClock,
  process: { readonly isAlive: () => boolean; readonly isCalling: () => boolean },
): Promise<T | 'crashed'> {
  const state = { settled: false }
  const isSettled = (): boolean => state.settled
  const done = work.finally(() => {
    state.settled = true
  })
  done.catch(() => undefined)
  for (let idle = 0; !isSettled(); idle++) {
    await macrotask()
    if (!process.isAlive()) return 'crashed'
    if (isSettled() || process.isCalling()) idle = 0
    // Nothing is under way but waiting: it is time that has to pass.
    else if (clock.skip()) idle = 0
    if (idle > IDLE_ROUNDS) throw new Error('the simulated process hangs: no call, no timer, no end')
  }
  try {
    return await done
  } catch (error) {
    if (!process.isAlive()) return 'crashed'
    throw error
  }
}

/** Lets all promises that can settle do so, and real I/O come in. */
function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
