import {
  EVENT_FORMAT,
  type Claim,
  type DueRequest,
  type Notifications,
  type Owner,
  type QueueClaim,
  type StoreChange,
} from '@varve/store'
import type { Clock } from '../clock.ts'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import type { Outcome } from '../driver/outcome.ts'
import { isParking } from '../driver/park.ts'
import { KernelError } from '../errors.ts'
import type { KernelParts } from './parts.ts'
import { orphans, type Orphan } from './orphans.ts'
import type { Registry } from './registry.ts'
import { newTaker, type Place } from './taker.ts'

/** Which runs to claim. */
export interface DispatchRequest {
  readonly queues: readonly QueueClaim[]
  /** Names of registered workflows. Default: all that are registered at the time. */
  readonly workflows?: readonly string[]
}

/** A run that was claimed, and is being driven. */
export interface DispatchedRun {
  readonly runId: string
  readonly workflow: string
  readonly queue: string
  /**
   * How far it came; undefined when it was given up: another process has it, it was asked to leave, or a verb of this kernel
   * was at work on it already. Rejects with what parked it.
   */
  readonly outcome: Promise<Outcome | undefined>
  /**
   * Asks the drive to give the run up for whoever claims it next: `drain` once the attempts that are under way have ended,
   * `stop` at once, aborting them.
   */
  leave(how: 'drain' | 'stop'): void
}

/** Claims due runs and drives them. What a worker is made of; its loop is in `@varve/worker`. */
export interface Dispatcher {
  /** Who holds the leases. */
  readonly owner: Owner
  /** Tells the store's time. */
  readonly clock: Clock
  /** The store's time, Unix milliseconds: the store is asked unless it was within a minute. @throws StoreError as `Store.now` does. */
  now(): Promise<number>
  /** True when the store tells of what becomes due; otherwise somebody has to look. */
  readonly notifies: boolean
  /** How long leases last unless a claim says otherwise, in ms. */
  readonly leaseMs: number
  /**
   * Claims due runs and begins to drive each until it ends or blocks. A sleep, a child, another run are not waited for: the
   * run blocks, and is due again in time.
   *
   * @param request - `limit` 1-1000 runs; `leaseMs` of their leases.
   * @throws StoreError as `RunStore.claim` does; KernelError `KERNEL_CLOSED`.
   */
  claim(
    request: DispatchRequest & { readonly limit: number; readonly leaseMs: number },
  ): Promise<readonly DispatchedRun[]>
  /**
   * Takes over such runs from processes of this machine that are known to be dead, and begins to drive them: their leases need
   * not be waited for, unless a run was recovered three times and nothing came of it since. As {@link claim}, but passes over what
   * somebody else has taken meanwhile.
   */
  adopt(
    request: DispatchRequest & { readonly limit: number; readonly leaseMs: number },
  ): Promise<readonly DispatchedRun[]>
  /**
   * Has such runs driven from their start on, when this kernel starts them, nobody waits for them, and there is a free place:
   * without a claim, and with their first decisions in their first append. Runs of queues with limits are claimed.
   *
   * @param place - gives up a place with each run.
   * @returns what ends it.
   */
  takeNew(request: DispatchRequest & { readonly leaseMs: number }, place: Place<DispatchedRun>): Disposable
  /** Milliseconds until the next such run becomes due that is not yet; null when none will by itself. */
  dueIn(request: DispatchRequest): Promise<number | null>
  /** True for an error of {@link DispatchedRun.outcome} for which the run was parked: the fault is its own, not the store's. */
  parks(error: unknown): boolean
  /** Calls the listener when such runs may have become due, as far as the store tells. */
  subscribe(listener: (change: StoreChange) => void): AsyncDisposable
}

/** A drive that was dispatched holds a place in a worker: it waits for nothing that is farther than this, in ms. */
const HOLD_MS = 20

/** The dispatcher of a kernel. */
export function createDispatcher({ env, drives, takers }: KernelParts, registry: Registry): Dispatcher {
  const hearing = new Hearing(env.store.notifications)
  const dueRequest = (request: DispatchRequest): DueRequest => dueRequestOf(registry, request)
  const dispatched = (leaseMs: number): Environment => ({
    ...env,
    leaseMs,
    holdMs: HOLD_MS,
    byClaims: true,
    // Children and parents come by their queues, like all others; whoever is at work on one here looks again.
    moved: (runId) => {
      drives.posted(runId)
      hearing.tell({ runId, kind: 'moved', dueInMs: 0 })
    },
    moving: () => undefined,
  })
  const follow = (
    { runId, workflow, queue }: Pick<Claim, 'runId' | 'workflow' | 'queue'>,
    driving: Promise<Outcome | undefined>,
  ): DispatchedRun => {
    const leave: DispatchedRun['leave'] = (how) => {
      drives.leave(runId, how, new KernelError('DRAINED', `the worker that drives run ${runId} stops`, { runId }))
    }
    return { runId, workflow, queue, leave, outcome: hearing.without(runId, driving) }
  }
  const drive = (driveEnv: Environment, claim: Claim, claimedAt: number): DispatchedRun =>
    follow(claim, drives.dispatch(driveEnv, claim, claimedAt))
  return {
    owner: env.owner,
    clock: env.clock,
    now: () => storeTime(env),
    leaseMs: env.leaseMs,
    notifies: env.store.notifications !== undefined,
    claim: async ({ limit, leaseMs, ...request }) => {
      drives.checkOpen()
      const claimedAt = env.clock.monotonic()
      const claims = env.store.runs.claim({ ...dueRequest(request), owner: env.owner, limit, leaseMs })
      const driveEnv = dispatched(leaseMs)
      return drives.claiming(claims.then((all) => all.map((claim) => drive(driveEnv, claim, claimedAt))))
    },
    adopt: async ({ limit, leaseMs, ...request }) => {
      drives.checkOpen()
      const driveEnv = dispatched(leaseMs)
      const found = orphans(driveEnv, dueRequest(request), () => drives.isOpen)
      const begin = ({ claim, claimedAt }: Orphan): DispatchedRun => drive(driveEnv, claim, claimedAt)
      return drives.claiming(adopt(env, found, { limit, begin }))
    },
    takeNew: ({ leaseMs, ...request }, place) => {
      const taker = newTaker(dispatched(leaseMs), drives, { ...request, place, follow })
      takers.add(taker)
      return { [Symbol.dispose]: () => void takers.delete(taker) }
    },
    parks: isParking,
    dueIn: async (request) => {
      drives.checkOpen()
      return repeatable(env, () => env.store.runs.dueIn(dueRequest(request)))
    },
    subscribe: (listener) => hearing.subscribe(listener),
  }
}

function dueRequestOf(registry: Registry, { queues, workflows }: DispatchRequest): DueRequest {
  const drivable = [...registry.versions()].map(([name, versions]) => ({ name, versions }))
  return {
    workflows: drivable.filter(({ name }) => workflows === undefined || workflows.includes(name)),
    queues,
    formats: Array.from({ length: EVENT_FORMAT }, (_, i) => i + 1),
  }
}

async function storeTime({ clock }: Environment): Promise<number> {
  await clock.check()
  return clock.now()
}

/** What has been taken over when the store fails is being driven, and the caller's to know of. */
async function adopt(
  { warn }: Environment,
  found: AsyncIterable<Orphan>,
  { limit, begin }: { readonly limit: number; readonly begin: (orphan: Orphan) => DispatchedRun },
): Promise<readonly DispatchedRun[]> {
  const adopted: DispatchedRun[] = []
  try {
    for await (const orphan of found) {
      const run = begin(orphan)
      // It may fail while others are still being taken over: the caller hears of it with them, and nobody does before.
      run.outcome.catch(() => undefined)
      adopted.push(run)
      if (adopted.length >= limit) break
    }
  } catch (error) {
    if (adopted.length === 0) throw error
    warn(error as Error)
  }
  return adopted
}

type Listener = (change: StoreChange) => void

/** What the store tells of runs that are not being driven here. */
class Hearing {
  readonly #notifications: Notifications | undefined
  readonly #listeners = new Set<Listener>()
  /** Runs that are being driven here: how often, and whether something has come for them meanwhile. */
  readonly #driven = new Map<string, { drives: number; missed: boolean }>()

  constructor(notifications: Notifications | undefined) {
    this.#notifications = notifications
  }

  subscribe(listener: Listener): AsyncDisposable {
    // Wrapped: the same listener may be subscribed twice.
    const own: Listener = (change) => {
      listener(change)
    }
    const subscription = this.#notifications?.subscribe((change) => {
      if (!this.#isDriven(change)) own(change)
    })
    this.#listeners.add(own)
    return {
      [Symbol.asyncDispose]: async () => {
        this.#listeners.delete(own)
        await subscription?.[Symbol.asyncDispose]()
      },
    }
  }

  tell(change: StoreChange): void {
    if (!this.#isDriven(change)) for (const listener of this.#listeners) listener(change)
  }

  /** While a run is being driven its drive sees to what comes; what came just when it ended is told then. */
  async without<T>(runId: string, drive: Promise<T>): Promise<T> {
    const driven = this.#driven.get(runId) ?? { drives: 0, missed: false }
    this.#driven.set(runId, driven)
    driven.drives++
    try {
      return await drive
    } finally {
      driven.drives--
      if (driven.drives === 0) this.#driven.delete(runId)
      if (driven.drives === 0 && driven.missed) this.tell({ runId, kind: 'moved', dueInMs: 0 })
    }
  }

  #isDriven({ runId, dueInMs }: StoreChange): boolean {
    const driven = runId === undefined ? undefined : this.#driven.get(runId)
    if (driven === undefined) return false
    driven.missed ||= dueInMs === 0
    return true
  }
}
