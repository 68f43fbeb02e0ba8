import type { Timer } from '@varve/kernel'
import { checkNames, checkOptions, type Owner } from '@varve/store'
import { ClaimLoop, type LoopCounts } from './claim-loop.ts'
import { asOption, WorkerError } from './errors.ts'
import { settingsOf, whole, type WorkerOptions, type WorkerSettings } from './options.ts'
import { Scheduler } from './schedules/scheduler.ts'
import { onSignals } from './signals.ts'

/** Drives runs of a store, beside any number of other workers in any number of processes. */
export interface Worker extends AsyncDisposable {
  /** Begins to claim and to drive. Again: nothing. @throws WorkerError `WORKER_STOPPED`; StoreError `STORE_CLOSED`. */
  start(): void
  /**
   * Claims nothing any more and gives up what it drives: attempts that are under way may end within `graceMs`, no new one
   * begins; then they are aborted. Each run is left to the next worker as it stands. Resolves when no lease is held any more,
   * but for one that the store gave and could not tell of, which ends by itself; a call that the store does not answer is waited for.
   * A second call with a shorter time shortens the wait. Rejects with `INVALID_OPTION` for options or a time that is none.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>
  /** Resolves when the worker has stopped, for whatever reason. */
  readonly stopped: Promise<void>
  /** How it is doing, at once and without asking the store. */
  health(): WorkerHealth
}

/** How a worker is doing. */
export interface WorkerHealth {
  readonly status: 'new' | 'working' | 'stopping' | 'stopped'
  /** True while it works and its last call of the store went well: what a readiness probe wants to know. */
  readonly ok: boolean
  /** Who holds the leases of its runs. */
  readonly owner: Owner
  readonly concurrency: number
  /** Runs that are being driven now. */
  readonly driving: readonly { readonly runId: string; readonly workflow: string; readonly queue: string }[]
  readonly counts: LoopCounts
  /** What goes wrong since `since`, Unix milliseconds; absent while all is well. */
  readonly trouble?: { readonly error: Error; readonly since: number }
}

/**
 * Makes a worker. It does nothing until it is started.
 *
 * @throws WorkerError `INVALID_OPTION`; StoreError `INVALID_ARGUMENT` for a name that cannot be one.
 *
 * @example
 * ```ts
 * const worker = createWorker({ kernel, concurrency: 20, queues: ['default', { name: 'mail', concurrency: 5 }] })
 * worker.start()
 * await worker.stopped // after SIGTERM
 * ```
 */
export function createWorker(options: WorkerOptions): Worker {
  return new RunningWorker(settingsOf(options))
}

class RunningWorker implements Worker {
  readonly stopped: Promise<void>
  readonly #settings: WorkerSettings
  readonly #loop: ClaimLoop
  readonly #scheduler: Scheduler
  readonly #end = Promise.withResolvers<undefined>()
  #status: WorkerHealth['status'] = 'new'
  /** True once nothing is driven any more, and nothing has to be given up. */
  #isOver = false
  #subscription: AsyncDisposable | undefined
  #offer: Disposable | undefined
  #ignoreSignals = (): void => undefined
  #graceUntil = Infinity
  #grace: Timer | undefined

  constructor(settings: WorkerSettings) {
    this.#settings = settings
    this.#loop = new ClaimLoop(settings)
    this.#scheduler = new Scheduler(settings)
    this.stopped = this.#end.promise
  }

  start(): void {
    if (this.#status === 'working') return
    if (this.#status !== 'new') throw new WorkerError('WORKER_STOPPED', 'this worker was stopped; create another one')
    const { kernel, signals, workflows, queues, leaseMs } = this.#settings
    // First: where the store is closed, nothing has begun.
    this.#subscription = kernel.dispatcher.subscribe((change) => {
      this.#loop.hear(change)
    })
    this.#offer = kernel.dispatcher.takeNew(
      { queues, leaseMs, ...(workflows && { workflows }) },
      {
        isFree: () => this.#loop.isFree,
        take: (begun) => {
          this.#loop.take(begun)
        },
      },
    )
    this.#status = 'working'
    this.#ignoreSignals = onSignals(signals, () => void this.stop())
    this.#scheduler.start()
    void this.#loop.run().then(async () => this.#over())
  }

  async stop(options: { readonly graceMs?: number } = {}): Promise<void> {
    asOption(checkOptions, 'what stop is given', options)
    asOption(checkNames, 'stop', options, { graceMs: true })
    const { graceMs = this.#settings.graceMs } = options
    whole('graceMs', graceMs, 0)
    if (this.#status === 'new') await this.#over()
    if (this.#status === 'stopped') return
    if (this.#isOver) return this.stopped
    this.#status = 'stopping'
    this.#scheduler.stop()
    this.#loop.leave('drain')
    const { clock } = this.#settings.kernel.dispatcher
    const until = clock.monotonic() + graceMs
    if (until < this.#graceUntil) {
      this.#graceUntil = until
      this.#grace?.cancel()
      this.#grace = clock.schedule(graceMs, () => {
        this.#loop.leave('stop')
      })
    }
    await this.stopped
  }

  async #over(): Promise<void> {
    this.#isOver = true
    this.#status = 'stopping'
    this.#grace?.cancel()
    this.#offer?.[Symbol.dispose]()
    this.#ignoreSignals()
    this.#scheduler.stop()
    await this.#unsubscribe()
    await this.#scheduler.stopped
    this.#status = 'stopped'
    this.#end.resolve(undefined)
  }

  /** A store that cannot be told any more tells nothing any more either. */
  async #unsubscribe(): Promise<void> {
    try {
      await this.#subscription?.[Symbol.asyncDispose]()
    } catch (error) {
      this.#settings.warn(error as Error)
    }
  }

  health(): WorkerHealth {
    const { kernel, concurrency } = this.#settings
    const { trouble, driven, counts } = this.#loop
    return {
      status: this.#status,
      ok: this.#status === 'working' && trouble === undefined,
      owner: kernel.dispatcher.owner,
      concurrency,
      driving: [...driven].map(({ runId, workflow, queue }) => ({ runId, workflow, queue })),
      counts: { ...counts },
      ...(trouble !== undefined && { trouble }),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
