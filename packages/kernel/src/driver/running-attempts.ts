import type { LogDraft } from '../log/log-event.ts'
import type { OpenAction } from '../run/item.ts'
import type { System } from '../run/system.ts'
import { reconcileAttempt, runAttempt, type Attempt } from './attempt.ts'
import type { Environment } from './environment.ts'

/** What to start: the handler's abort controller is made here. */
export type NewAttempt = Omit<Attempt, 'controller'>

interface Running {
  readonly attempt: number
  readonly controller: AbortController
  /** What it is about: the action itself, or what became of it. */
  readonly asks: boolean
  finished: boolean
}

/** The attempts of one drive that are under way, and those whose outcome is not durable yet. */
export class RunningAttempts {
  readonly #env: Environment
  readonly #onResult: (result: LogDraft | undefined) => void
  readonly #onError: (error: Error) => void
  readonly #running = new Map<string, Running>()
  /** Attempts in doubt that were asked about: once per drive. */
  readonly #asked = new Set<string>()

  /**
   * @param onResult - gets the event to record, or undefined when an inquiry settled nothing.
   * @param onError - gets what a policy threw.
   */
  constructor(env: Environment, onResult: (result: LogDraft | undefined) => void, onError: (error: Error) => void) {
    this.#env = env
    this.#onResult = onResult
    this.#onError = onError
  }

  get size(): number {
    return this.#running.size
  }

  has(key: string): boolean {
    return this.#running.has(key)
  }

  /** Calls the handler of a durable attempt. Nothing is awaited between the caller's last look at its lease and the call. */
  start(attempt: NewAttempt): void {
    const running = this.#begin(attempt, false)
    runAttempt(this.#env, { ...attempt, controller: running.controller }).then(
      (result) => {
        running.finished = true
        this.#onResult(result)
      },
      (error: unknown) => {
        this.#onError(error as Error)
      },
    )
  }

  /** Asks what became of an attempt in doubt, unless this drive has asked already or there is nobody to ask. */
  reconcile(attempt: NewAttempt): void {
    const { key, attempt: number } = attempt.item
    const asked = `${number}:${key}`
    if (attempt.action.reconcile === undefined || this.#asked.has(asked)) return
    this.#asked.add(asked)
    const running = this.#begin(attempt, true)
    void reconcileAttempt(this.#env, { ...attempt, controller: running.controller }).then((result) => {
      running.finished = true
      if (result === undefined) this.#running.delete(key)
      this.#onResult(result)
    })
  }

  /** Forgets what the log says is over, and aborts what of it is still under way. */
  prune({ open }: System): void {
    for (const [key, running] of this.#running) {
      const item = open.get(key)
      const current = item?.kind === 'action' && item.attempt === running.attempt
      if (current && (running.asks ? item.inDoubt : item.attempting)) continue
      this.#running.delete(key)
      if (!running.finished) running.controller.abort()
    }
  }

  /** Aborts everything. */
  abortAll(reason: unknown): void {
    for (const { finished, controller } of this.#running.values()) if (!finished) controller.abort(reason)
    this.#running.clear()
  }

  #begin({ item }: NewAttempt, asks: boolean): Running {
    const running = { attempt: item.attempt, controller: new AbortController(), asks, finished: false }
    this.#running.set(item.key, running)
    return running
  }
}

/** True for an outcome that the log still waits for. */
export function isAwaited(item: OpenAction, draft: LogDraft): boolean {
  switch (draft.type) {
    case 'ActionSucceeded':
    case 'ActionFailed':
      return draft.data.attempts === item.attempt && (item.attempting || item.inDoubt)
    case 'ActionAttemptFailed':
    case 'ActionInDoubt':
      return draft.data.attempt === item.attempt && item.attempting
    case 'ActionAttemptStarted':
      return draft.data.attempt === item.attempt + 1 && item.inDoubt
    default:
      return false
  }
}
