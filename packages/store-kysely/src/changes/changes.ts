import { StoreError, type Notifications, type StoreChange } from '@varve/store'

/** A change of a run that the store knows. */
export type RunChange = StoreChange & { readonly runId: string }

/** How the stores on one database tell each other of their commits. An aid: whatever goes wrong with it is nobody's error. */
export interface RemoteChanges {
  /** Tells the other stores of a commit of this one. Neither waits nor throws. */
  readonly tell: (change: RunChange) => void
  /**
   * Begins to hear of commits of the other stores. Neither waits nor throws.
   *
   * @returns what ends it; from that call on nothing is heard.
   */
  readonly listen: (hear: (change: StoreChange) => void) => () => Promise<void>
}

/** Tells of commits: the listeners of this store directly, those of others through what the database offers. */
export class Changes implements Notifications {
  readonly #remote: RemoteChanges
  readonly #listeners = new Set<(change: StoreChange) => void>()
  #stop: (() => Promise<void>) | undefined
  #closed = false

  constructor(remote: RemoteChanges) {
    this.#remote = remote
  }

  /** Listens to other stores while anybody listens to this one. */
  subscribe(listener: (change: StoreChange) => void): AsyncDisposable {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'this store was closed; open a new one')
    // Wrapped, because the same function may be subscribed twice and each subscription ends by itself.
    const subscription = (change: StoreChange): void => listener(change)
    this.#listeners.add(subscription)
    this.#stop ??= this.#remote.listen((change) => this.#tellListeners(change))
    return {
      [Symbol.asyncDispose]: async () => {
        if (this.#listeners.delete(subscription) && this.#listeners.size === 0) await this.#stopListening()
      },
    }
  }

  /** Says what a commit of this store changed. */
  committed(change: RunChange): void {
    this.#tellListeners(change)
    this.#remote.tell(change)
  }

  /** Says that a run was appended to and goes on: too often to tell others. */
  appended(runId: string): void {
    this.#tellListeners({ runId, kind: 'moved', dueInMs: null })
  }

  /** Ends all subscriptions. */
  async close(): Promise<void> {
    this.#closed = true
    this.#listeners.clear()
    await this.#stopListening()
  }

  /**
   * Each listener in a microtask of its own: after the call that committed has returned, and so that one that throws
   * disturbs neither the store nor the others. Its error becomes an uncaught exception: a bug should not be silent.
   */
  #tellListeners(change: StoreChange): void {
    for (const listener of this.#listeners) {
      queueMicrotask(() => {
        if (this.#listeners.has(listener)) listener(change)
      })
    }
  }

  async #stopListening(): Promise<void> {
    const stop = this.#stop
    this.#stop = undefined
    await stop?.()
  }
}
