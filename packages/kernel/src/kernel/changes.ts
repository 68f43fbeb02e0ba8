import { isStoreError, type Notifications } from '@varve/store'
import type { Clock, Timer } from '../clock.ts'
import type { Environment } from '../driver/environment.ts'
import type { PostNews } from '../driver/mailbox.ts'

/** Most drives are over before this, and so before anybody could have told them anything. */
const LASTING_MS = 20

/** A drive that was at work has asked for its next append by then, which tells whether posts wait; or it has to look for itself. */
const APPEND_MS = 20

/**
 * Waits for a run to move: by notification where the store can, else by looking again after a while.
 *
 * It subscribes when it is first of use: on some stores that is a connection, which a program that only starts, posts and drives
 * what blocks again soon does not need.
 */
export class Changes {
  readonly #clock: Clock
  readonly #notifications: Notifications | undefined
  readonly #onPost: (news: PostNews, runId?: string) => boolean
  readonly #warn: (error: Error) => void
  readonly #waiting = new Map<string, Set<() => void>>()
  #subscription: AsyncDisposable | undefined
  /** How many drives are under way, and when that will have lasted. */
  #drives = 0
  #lasting: Timer | undefined
  /** There while drives may have missed a post that no append of theirs has told of. */
  #overdue: Timer | undefined
  #closed = false

  /**
   * @param onPost - called for every post that the store tells of; without a run where any may have been posted to. It answers
   * whether somebody is to be reminded, since nothing has told yet.
   */
  constructor(
    { clock, store, warn }: Pick<Environment, 'store' | 'warn'> & { readonly clock: Clock },
    onPost: (news: PostNews, runId?: string) => boolean,
  ) {
    this.#clock = clock
    this.#notifications = store.notifications
    this.#onPost = onPost
    this.#warn = warn
  }

  /** Says that a drive begins. While one lasts it hears of posts to its run, of those before, too. */
  driving(): void {
    this.#drives += 1
    if (this.#closed || this.#isHeard) return
    this.#lasting ??= this.#clock.schedule(LASTING_MS, () => {
      this.#listenLate()
    })
  }

  /** Says that a drive is over. */
  driven(): void {
    this.#drives -= 1
    if (this.#drives > 0) return
    this.#cancel()
  }

  #cancel(): void {
    this.#lasting?.cancel()
    this.#overdue?.cancel()
    this.#lasting = this.#overdue = undefined
  }

  #listenLate(): void {
    try {
      this.#listen()
    } catch (error) {
      // Nobody waits for this. A drive whose store was closed is told so by its next call.
      if (!isStoreError(error, 'STORE_CLOSED')) this.#warn(error as Error)
    }
  }

  /** True when nothing that is told from now on is missed, be it that nothing is ever told. */
  get #isHeard(): boolean {
    return this.#subscription !== undefined || this.#notifications === undefined
  }

  /** Any drive may have been posted to. Hundreds that are at work would each ask the store in vain what their next append tells. */
  #mayHaveMissed(): void {
    if (this.#closed) return
    this.#overdue?.cancel()
    this.#overdue = undefined
    if (this.#onPost('missed')) this.#remindLater()
  }

  #remindLater(): void {
    this.#overdue = this.#clock.schedule(APPEND_MS, () => {
      this.#overdue = undefined
      if (this.#onPost('overdue')) this.#remindLater()
    })
  }

  #listen(): void {
    if (this.#closed || this.#isHeard) return
    this.#subscription = this.#notifications?.subscribe(({ runId, kind }) => {
      if (kind === 'posted' && runId !== undefined) this.#onPost('told', runId)
      else if (kind === 'posted') this.#mayHaveMissed()
      if (runId === undefined) this.#anyMoved()
      else this.moved(runId)
    })
    // What was told before, also to drives that do not last yet: whoever waits for a run makes us listen earlier.
    if (this.#drives > 0) this.#mayHaveMissed()
  }

  /** Begins to listen for a run, so that no change between a look at it and {@link Change.next} is missed. */
  of(runId: string): Change {
    // Until now nothing was told: the first wait is none, and whoever waits looks again.
    const heard = this.#isHeard || this.#closed
    let wake: (() => void) | undefined
    let changed = false
    let timer: Timer | undefined
    const listener = (): void => {
      changed = true
      wake?.()
    }
    const listeners = this.#waiting.get(runId) ?? new Set()
    this.#waiting.set(runId, listeners.add(listener))
    return {
      next: (pollMs) =>
        new Promise((resolve) => {
          wake = () => {
            timer?.cancel()
            resolve()
          }
          this.#listen()
          if (changed || !heard) resolve()
          else timer = this.#clock.schedule(pollMs, resolve)
        }),
      cancel: () => {
        timer?.cancel()
        listeners.delete(listener)
        if (listeners.size === 0) this.#waiting.delete(runId)
      },
    }
  }

  /** Says that a run moved, for those who wait for it in this process. */
  moved(runId: string): void {
    for (const wake of this.#waiting.get(runId) ?? []) wake()
  }

  #anyMoved(): void {
    for (const listeners of this.#waiting.values()) for (const wake of listeners) wake()
  }

  /** Ends every wait and the subscription. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    this.#anyMoved()
    await this.#subscription?.[Symbol.asyncDispose]()
  }
}

/** A wait for one run. */
export interface Change {
  /** Resolves at the next change since this was made, or after `pollMs` milliseconds. */
  next(pollMs: number): Promise<void>
  /** Stops listening. */
  cancel(): void
}
