import type { Clock, Kernel, KernelOptions, Outcome, Workflow } from '@varve/kernel'
import type { RunRow, Store } from '@varve/store'
import type { BoundaryName } from '../boundaries.ts'

/** What a handler tells a crash matrix. */
export interface Probe {
  /**
   * Does something to the outside world and counts it under the key that the outside would recognise a repetition by: as a
   * rule the handler's `idempotencyKey`, or what was derived from it. A process can die right before and right after it, and
   * a dead process does nothing any more. A handler has to wait for it: what it leaves under way is told.
   */
  readonly effect: <T = void>(key: string, act?: () => T | Promise<T>) => Promise<T>
}

/** What a scenario's functions are given. */
export interface Scene<W, Outside> {
  /** The kernel of the process that is alive now. */
  readonly kernel: Kernel
  readonly workflows: W
  readonly outside: Outside
  /** The store of the process that is alive now: for what works on a store beside the kernel, such as an engine for plans. */
  readonly store: Store
  /** Its clock. */
  readonly clock: Clock
  /** As the probe's, for handlers that are made here. */
  readonly effect: Probe['effect']
}

/** A run when everything is over. */
export interface EndedRun {
  readonly runId: string
  readonly workflow: string
  readonly outcome: Outcome
  /** The state after its last event. */
  readonly state: unknown
}

/** How a run can end. */
export type Ending = Exclude<Outcome['status'], 'running' | 'blocked'>

/** Runs of your workflows from beginning to end, as often as need be. */
export interface CrashScenario<W extends Readonly<Record<string, Workflow>>, Outside = undefined> {
  /** A fresh, empty store by the clock that it is given, for each case; the matrix disposes of it. `memoryStore` will do. */
  readonly open: (options: { readonly now: () => number }) => Store | Promise<Store>
  /** The outside world of one case, such as the accounts of a bank; it outlives processes. Default: none. */
  readonly outside?: () => Outside
  /** The workflows, made anew for each process: what they keep in memory dies with it. */
  readonly workflows: (probe: Probe, outside: Outside) => W
  /**
   * Starts runs of the scene's workflows, whose handlers are watched, as are those of workflows registered with its kernel.
   * Called by each process, as your program would at its start: give run ids, so that starting again returns the same runs.
   */
  readonly begin: (scene: Scene<W, Outside>) => Promise<unknown>
  /**
   * Does what the outside does for a run that is blocked: answers what is open in `run.blockedOn`, settles what is in doubt,
   * cancels. Called again after each answer; undefined leaves the run to time. Default: no answers.
   */
  readonly answer?: (run: RunRow, scene: Scene<W, Outside>) => Promise<unknown> | undefined
  /** Called at each boundary: what others do to the store meanwhile, such as posting. Default: nothing. */
  readonly meanwhile?: (
    boundary: BoundaryName,
    others: { readonly store: Store; readonly outside: Outside },
  ) => Promise<void> | void
  /**
   * How a run has to end, in every case and when nothing is disturbed; undefined where any end will do. Default: in any way but `failed`:
   * what goes wrong each time, by a slip in the scenario perhaps, comes to the same whatever crashes, and proves nothing.
   */
  readonly ends?: (run: Pick<EndedRun, 'runId' | 'workflow'>) => Ending | undefined
  /**
   * What has to be the same of a run that has ended. Default: its outcome and its state, in which a secret is told by its place: what refers
   * to it is drawn anew in each case.
   */
  readonly compare?: (run: EndedRun) => unknown
  /** What has to be the same of the outside in the end. Default: nothing; repeated effects show in their keys. */
  readonly compareOutside?: (outside: Outside) => unknown
  /** Further options of the kernels. `leaseMs` is the virtual time that a crash costs; default 1,000. */
  readonly kernel?: Omit<KernelOptions, 'store' | 'workflows' | 'clock' | 'owner' | 'newId'>
}
