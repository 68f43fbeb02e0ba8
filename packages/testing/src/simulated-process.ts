import type { Clock, Timer } from '@varve/kernel'
import type { Notifications, Owner, Store } from '@varve/store'
import { passBoundaries, SimulatedCrash, type BoundaryName, type ProcessFaults } from './boundaries.ts'
import { TestingError } from './errors.ts'
import { checkProcessFaults } from './given.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { interceptStore } from './wrapped-store.ts'

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
  /** Boundaries passed so far, in order; the last one may be that at which it died. */
  boundaries(): readonly BoundaryName[]
  /** Does something between two boundaries of this name, such as an effect on the outside world. */
  passing<T>(name: string, act: () => T | Promise<T>): Promise<T>
  /**
   * Waits for what this process is doing, letting time pass whenever it can only wait for time.
   *
   * @returns `crashed` when the process died first.
   * @throws TestingError `PROCESS_HANGS` when it waits for something that is neither time nor a call of its store.
   */
  finish<T>(work: Promise<T>): Promise<T | 'crashed'>
  /** Kills it from outside. */
  kill(): void
}

let processes = 0

/**
 * A process over a shared store and a shared clock.
 *
 * @throws TestingError `INVALID_SCENARIO` for faults at what is no boundary.
 */
export function simulatedProcess(shared: Store, clock: VirtualClock, faults: ProcessFaults = {}): SimulatedProcess {
  checkProcessFaults(faults)
  const life = { alive: true, calls: 0, acts: 0, moved: (): void => undefined }
  const timers = new Set<Timer>()
  const isAlive = (): boolean => life.alive
  const kill = (): void => {
    life.alive = false
    life.moved()
    for (const timer of timers) timer.cancel()
    timers.clear()
  }
  const { passed, passCall, passing } = passBoundaries(faults, isAlive, kill)
  const calling = async <T>(call: () => Promise<T>): Promise<T> => {
    life.calls++
    try {
      return await call()
    } finally {
      life.calls--
      life.moved()
    }
  }
  const store = interceptStore(readingAs(shared, calling), (call, proceed) =>
    calling(async () => {
      if (call.mutates) return passCall(call, proceed)
      if (!isAlive()) throw new SimulatedCrash()
      return proceed()
    }),
  )
  return {
    store: { ...store, ...hearing(shared, isAlive) },
    clock: ownTimers(clock, timers, isAlive),
    owner: { id: `process-${++processes}`, boot: null, pidNamespace: null, pid: 1, startedAt: null },
    isAlive,
    boundaries: () => passed,
    passing: async (name, act) => {
      life.acts++
      try {
        return await passing(name, act)
      } finally {
        life.acts--
      }
    },
    finish: (work) => finish(work, clock, life),
    kill,
  }
}

type Calling = <T>(call: () => Promise<T>) => Promise<T>

/** The store with logs and artifacts whose every part is read as a call: pages and chunks come from a database, too. */
function readingAs(store: Store, calling: Calling): Store {
  const { events, artifacts } = store
  return {
    ...store,
    events: {
      append: (...args) => events.append(...args),
      read: (...args) => readAs(events.read(...args), calling),
    },
    artifacts: {
      put: (...args) => artifacts.put(...args),
      get: async (...args) => {
        const artifact = await artifacts.get(...args)
        const stream: AsyncIterable<Uint8Array> = {
          [Symbol.asyncIterator]: () => readAs(artifact.stream(), calling),
        }
        return { ...artifact, bytes: () => calling(() => artifact.bytes()), stream: () => stream }
      },
      has: (...args) => artifacts.has(...args),
      touch: (...args) => artifacts.touch(...args),
      list: (...args) => artifacts.list(...args),
      delete: (...args) => artifacts.delete(...args),
    },
  }
}

async function* readAs<T>(values: AsyncIterable<T>, calling: Calling): AsyncGenerator<T, void> {
  const all = values[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await calling(() => all.next())
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await all.return?.()
  }
}

/** The store's notifications, until this process dies. */
function hearing({ notifications }: Store, isAlive: () => boolean): Pick<Store, 'notifications'> {
  if (notifications === undefined) return {}
  const subscribe: Notifications['subscribe'] = (listener) => {
    const subscription = notifications.subscribe((change) => {
      if (isAlive()) listener(change)
      // A listener must not be taken away while it is called.
      else queueMicrotask(() => void subscription[Symbol.asyncDispose]())
    })
    return subscription
  }
  return { notifications: { subscribe } }
}

/** The shared clock, with timers that this process takes to its grave. */
function ownTimers(clock: VirtualClock, timers: Set<Timer>, isAlive: () => boolean): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    schedule: (ms, fn) => {
      if (!isAlive()) return { cancel: () => undefined }
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
/** What is being done may take a while that is not the clock's. */
const ACTING_ROUNDS = 20

/** What a process is at. */
interface Life {
  readonly alive: boolean
  /** Calls of the store that are under way. */
  readonly calls: number
  /** Handlers and effects that are under way. */
  readonly acts: number
  /** Called when a call has ended, and when the process dies. */
  moved: () => void
}

async function finish<T>(work: Promise<T>, clock: VirtualClock, life: Life): Promise<T | 'crashed'> {
  const state = { settled: false }
  const isSettled = (): boolean => state.settled
  const done = work.finally(() => {
    state.settled = true
    life.moved()
  })
  done.catch(() => undefined)
  for (let idle = 0; !isSettled(); idle++) {
    await macrotask()
    if (!life.alive) return 'crashed'
    if (isSettled()) break
    if (life.calls > 0) {
      idle = 0
      await new Promise<void>((resolve) => (life.moved = resolve))
    }
    // Nothing is under way but waiting: it is time that has to pass.
    else if (idle >= (life.acts > 0 ? ACTING_ROUNDS : 0) && clock.skip()) idle = 0
    if (idle > IDLE_ROUNDS) {
      throw new TestingError('PROCESS_HANGS', 'the simulated process makes no call, has no timer and does not end')
    }
  }
  try {
    return await done
  } catch (error) {
    if (!life.alive) return 'crashed'
    throw error
  }
}

/** Lets all promises that can settle do so, and real I/O come in. */
function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
