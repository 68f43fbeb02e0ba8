import { isStoreError } from '@varve/store'
import type { Timer } from '../clock.ts'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import type { Outcome } from '../driver/outcome.ts'
import { isKernelError } from '../errors.ts'
import { dueAt } from './due-at.ts'

/** When a run is tried again that could not be moved in the background for want of its store. */
const RETRY_MS = 5000

/** A run that somebody else has is looked at again no sooner than this. */
const LEAST_MS = 1000

/** How the runs of a kernel are moved. */
export interface Moves {
  /** Drives a run as far as it comes; undefined when somebody else has it, or has taken it away. */
  readonly move: (runId: string) => Promise<Outcome | undefined>
  /** True while the kernel is at work on the run. */
  readonly has: (runId: string) => boolean
}

/** Moves runs for which nobody waits here: at once, or when their time has come. */
export class WakeUps {
  readonly #env: Environment
  readonly #moves: Moves
  readonly #timers = new Map<string, Timer>()
  #closed = false

  constructor(env: Environment, moves: Moves) {
    this.#env = env
    this.#moves = moves
  }

  /** True while the run waits for its time. */
  has(runId: string): boolean {
    return this.#timers.has(runId)
  }

  /** Moves a run then, and not when it was to be moved before; null for never. */
  at(runId: string, at: number | null): void {
    this.#timers.get(runId)?.cancel()
    this.#timers.delete(runId)
    if (at === null || this.#closed) return
    const timer = this.#env.clock.at(at, () => {
      this.#timers.delete(runId)
      this.now(runId)
    })
    timer.unref?.()
    this.#timers.set(runId, timer)
  }

  /** What keeps the run from being driven stands in its row, and is told as a warning. */
  now(runId: string): void {
    this.#move(runId).catch((error: unknown) => {
      const expected = isKernelError(error, 'KERNEL_CLOSED') || isKernelError(error, 'WORKFLOW_MISSING')
      if (!expected) this.#env.warn(error as Error)
      // The store's trouble is not the run's: its time has come all the same.
      const passing = isStoreError(error) && (error.retryable || error.code === 'UNKNOWN_OUTCOME')
      if (passing) this.#again(runId, this.#env.clock.now() + RETRY_MS)
    })
  }

  /**
   * Whoever has the run instead may die, and a lease that was lost here is nobody's: nobody else may look at it when that is over.
   */
  async #move(runId: string): Promise<void> {
    if ((await this.#moves.move(runId)) !== undefined || this.#closed) return
    const row = await repeatable(this.#env, () => this.#env.store.runs.find(runId))
    const due = row && dueAt(this.#env.owner, row)
    if (due !== undefined) this.#again(runId, Math.max(due, this.#env.clock.now() + LEAST_MS))
  }

  #again(runId: string, at: number): void {
    if (!this.has(runId) && !this.#moves.has(runId)) this.at(runId, at)
  }

  /** Moves nothing any more. */
  close(): void {
    this.#closed = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }
}
