import { checkedClock, shown, StoreError, type CacheEntry, type ContentId, type StoreChange } from '@varve/store'
import { RunIndex } from './run-index.ts'
import type { RunDraft, RunRecord } from './run-record.ts'

/** Called after each commit. */
export type Listener = (change: StoreChange) => void

/** An artifact. */
export interface ArtifactRecord {
  bytes: Uint8Array
  readonly mediaType: string
  readonly createdAt: number
  usedAt: number
}

/** All that one store holds. The ports are views of it. */
export class Memory {
  readonly #runs = new Map<string, RunRecord>()
  /** The runs in the orders in which they are looked for; {@link change} and {@link remove} keep it. */
  readonly index: RunIndex
  /** Sealed values by id; undefined for one that was erased. */
  readonly secrets = new Map<string, Uint8Array | undefined>()
  readonly artifacts = new Map<ContentId, ArtifactRecord>()
  /** Entries of the cache by key. */
  readonly cache = new Map<string, CacheEntry>()
  readonly listeners = new Set<Listener>()
  /** The store's clock, Unix milliseconds. */
  readonly now: () => number
  #closed = false

  constructor(now: () => number, index = new RunIndex()) {
    this.now = checkedClock(now)
    this.index = index
  }

  /** Every method of every port begins here. */
  checkOpen(): void {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'this store was closed; open a new one')
  }

  find(runId: string): RunRecord | undefined {
    return this.#runs.get(runId)
  }

  /** @throws StoreError `RUN_NOT_FOUND`. */
  get(runId: string): RunRecord {
    const run = this.#runs.get(runId)
    if (run === undefined) throw new StoreError('RUN_NOT_FOUND', `there is no run ${shown(runId)}`, { runId })
    return run
  }

  /** All runs, in no order. */
  runs(): Iterable<RunRecord> {
    return this.#runs.values()
  }

  /** The only place where a run comes to be or changes, so that the index goes along with it. */
  change<Answer>(run: RunRecord, alter: (draft: RunDraft) => Answer): Answer {
    const answer = alter(run)
    this.#runs.set(run.runId, run)
    this.index.put(run)
    return answer
  }

  remove(runId: string): boolean {
    this.index.remove(runId)
    return this.#runs.delete(runId)
  }

  /**
   * Tells the listeners of a commit, each in a microtask of its own: after the call that committed has returned, and so
   * that a listener that throws disturbs neither the store nor the others. Its error becomes an uncaught exception of the
   * process, as with an `EventTarget`: a bug in a listener should not be silent.
   */
  notify(change: StoreChange): void {
    for (const listener of this.listeners) {
      queueMicrotask(() => {
        if (this.listeners.has(listener)) listener(change)
      })
    }
  }

  close(): void {
    this.#closed = true
    this.listeners.clear()
    this.#runs.clear()
    this.index.clear()
    this.secrets.clear()
    this.artifacts.clear()
    this.cache.clear()
  }
}
