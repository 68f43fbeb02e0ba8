import type { ArtifactStore, Limits, Owner, Store } from '@varve/store'
import type { Clock } from '../clock.ts'
import type { GuardMode } from '../guard/guard.ts'
import type { Observer } from '../driver/observer.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { Policy } from '../policy/policy.ts'
import type { SecretsOptions } from '../secrets/options.ts'
import type { Workflow } from '../workflow/define-workflow.ts'

/** What a kernel is made of. */
export interface KernelOptions {
  readonly store: Store
  /** Where artifacts are kept. Default: in the store. All kernels of a store have to be given the same. */
  readonly artifacts?: ArtifactStore
  /** Workflows that this kernel can run; several versions of one name may stand side by side. */
  readonly workflows: readonly Workflow[]
  /** Default: `networkErrors`, which allows everything, and retries nothing but what an action declares a retry for. */
  readonly policy?: Policy
  /**
   * How long a lease lasts, in ms. A run whose process died unrecognised is taken up after that time. Renewed at every
   * third of it. Default 30,000.
   */
  readonly leaseMs?: number
  /** What to do with a run whose recorded decisions the code does not repeat: park it, or warn and go on. Default `stop`. */
  readonly onDrift?: 'stop' | 'warn'
  /**
   * What to do when a step, a reducer, `cancel` or `initialState` uses the clock, randomness, a timer, `fetch`, a process or a
   * thread: park the run with `NONDETERMINISM`, or warn once per workflow and function, or nothing. They are trapped as reached
   * through globals and imports of Node's modules; references taken before the first kernel was created escape, and so does
   * what other modules keep to themselves. Default `throw`.
   */
  readonly guard?: GuardMode
  /** Bounds on values, posts and logs; left out, each has its default. */
  readonly limits?: Partial<Limits>
  /** How values that are marked as secret are kept out of the log, and how configuration secrets are resolved. */
  readonly secrets?: SecretsOptions
  /** Told of events right after they became durable, in order, once per commit of this kernel. */
  readonly onCommitted?: (runId: string, events: readonly LogEvent[]) => void
  /** Told of turns, appends and attempts, with their times: what traces and metrics are made of. */
  readonly observer?: Observer
  /**
   * Told of what went wrong without harm to a run, such as a snapshot that could not be written. Default: a process warning, as is
   * what the listener throws.
   */
  readonly onWarning?: (warning: Error) => void
  /** Identifies the build of the code. Default: a hash of the workflow's functions. Another build reads no snapshots of this one. */
  readonly build?: string
  /** Default: the clock of this machine. What it shows is corrected by what the store's answers tell of the store's clock. */
  readonly clock?: Clock
  /** A run whose driver died more often than this, without any item closing meanwhile, is parked as `POISONED`. Default 10. */
  readonly maxRecoveries?: number
  /**
   * Makes run ids and seeds. Default: UUIDs of version 7, which stand in the order of time by the clock of this machine: stores
   * write these with less work than random ones.
   */
  readonly newId?: () => string
  /** Who holds the leases. Default: this process, with a new id per kernel. */
  readonly owner?: Owner
}

/** How a run is started. */
export interface StartOptions {
  /** Default: a new id. Starting a run id again with the same input returns that run as it is, whatever the other options; with `wait: false` the answer is always `running`. */
  readonly runId?: string
  /** Labels to list runs by. */
  readonly tags?: readonly string[]
  /** Default `default`. */
  readonly queue?: string
  /** Of a queue, runs of a higher priority are claimed first: a whole number from -100 to 100. Default 0. */
  readonly priority?: number
  /** Runs of one queue with the same key count together for the queue's limit per key. */
  readonly concurrencyKey?: string
  /**
   * When it begins, a date or Unix milliseconds of the store's clock. Until then it is recorded and blocked, and keeps what it
   * is sent; its step is not asked. Default: at once, as for a time that has passed.
   */
  readonly startAt?: Date | number
  /** Begins after this time, in ms. Not together with `startAt`. */
  readonly delayMs?: number
  /** A run that has not ended this long after it was asked for, in ms, is canceled and then fails with `DEADLINE_EXCEEDED`. */
  readonly deadlineMs?: number
  /** False: record the run and return at once; whoever runs or recovers it drives it. Default true. */
  readonly wait?: boolean
}

/** How a run is driven on. */
export interface RunOptions {
  /** State before the first event, for a log that begins without `RunStarted`. */
  readonly initialState?: unknown
}
