import { isStoreError } from '@varve/store'
import { holdFold, SNAPSHOT_FORMAT, type HeldFold } from '../run/snapshot-body.ts'
import type { RunFold } from '../run/run-fold.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { Environment, TrailingWork } from './environment.ts'
import type { LoadedRun } from './load-run.ts'

/** So many events are read in one call and a few milliseconds: no run on its way is slowed down to spare that to whoever takes it up. */
const TAIL_EVENTS = 500
/** Of a run that blocks, which is sure to be taken up, a tail of so many events is spared. */
const BLOCKED_TAIL_EVENTS = 100
/** One that is so much shorter than the snapshot before it costs little next to reading that. */
const SHORT_TAIL = 1 / 8
const KEPT = 2

/**
 * Writes snapshots of one drive, off the commit path. They are a cache: what goes wrong is told and forgotten.
 *
 * While a run is not terminal a snapshot stands before its last decision, so that whoever opens the run next finds a
 * decision to check in the tail.
 */
export class SnapshotWriter implements TrailingWork {
  readonly #env: Environment
  readonly #definition: Definition
  #seq: number
  #length: number
  #tailEvents: number
  #tailLength: number
  /** Of the tail, what was read: it goes into the snapshot that is saved when the run blocks, not into one more. */
  #readEvents: number
  /** How many there may be. */
  #kept: number
  #held: HeldFold | undefined
  /** What is saved when nobody waits for the drive any more. */
  #last: HeldFold | undefined
  #writing: Promise<void>
  /** What is under way, also by the writers before. */
  readonly #pending: { length: number }

  /** @param before - the writer of a fold that was dropped; what it has under way is waited for, too. */
  constructor(
    env: Environment,
    definition: Definition,
    loaded: Omit<LoadedRun, 'fold'>,
    before: SnapshotWriter | undefined,
  ) {
    this.#writing = before?.settled() ?? Promise.resolve()
    this.#pending = before === undefined ? { length: 0 } : before.#pending
    this.#env = env
    this.#definition = definition
    this.#seq = loaded.snapshotSeq
    this.#length = loaded.snapshotLength
    this.#tailEvents = this.#readEvents = loaded.tailEvents
    this.#tailLength = loaded.tailLength
    this.#kept = loaded.snapshotSeq > 0 ? KEPT : 0
  }

  /** Counts a durable turn; `held` is the fold before its decisions. Saves when the tail has grown long enough. */
  appended(events: readonly { readonly stored: { readonly body: string } }[], held?: HeldFold): void {
    this.#tailEvents += events.length
    for (const { stored } of events) this.#tailLength += stored.body.length
    this.#held = held
    if (held === undefined) return
    const written = this.#tailEvents - this.#readEvents
    if (written >= TAIL_EVENTS && this.#tailLength >= this.#length) this.#save(held)
  }

  /**
   * Has the state in which a run blocks saved, unless so little is new that a large snapshot would be written for nothing. To put many
   * items into words takes longer than an outcome should wait.
   */
  blocked(): void {
    const isShort = this.#tailEvents < BLOCKED_TAIL_EVENTS && this.#tailLength < this.#length * SHORT_TAIL
    if (this.#held === undefined || isShort) return
    if (this.#tailEvents < TAIL_EVENTS) this.#save(this.#held)
    else this.#last = this.#held
  }

  /** Saves the state in which a run ended: now, as whoever is given its output may change it. */
  ended(fold: RunFold): void {
    this.#save(holdFold(fold))
  }

  get isLate(): boolean {
    return this.#last !== undefined
  }

  begin(): void {
    if (this.#last !== undefined) this.#save(this.#last)
    this.#last = undefined
  }

  get unwritten(): number {
    return this.#pending.length
  }

  /** Resolves when everything is written or given up. */
  settled(): Promise<void> {
    return this.#writing
  }

  #save({ runId, end, body }: HeldFold): void {
    if (end.seq <= this.#seq) return
    let text: string
    try {
      text = body()
    } catch (error) {
      this.#env.warn(error as Error)
      return
    }
    this.#seq = end.seq
    this.#length = text.length
    this.#tailEvents = this.#readEvents = 0
    this.#tailLength = 0
    const write = (): Promise<void> => this.#write(runId, end, text)
    const isFirst = this.#pending.length === 0
    this.#pending.length += text.length
    // The first at once: the store is asked for a snapshot of the run behind that, by whoever reads it next.
    this.#writing = isFirst ? write() : this.#writing.then(write)
  }

  async #write(runId: string, end: HeldFold['end'], body: string): Promise<void> {
    const { snapshots } = this.#env.store
    const { version } = this.#definition
    const code = { format: SNAPSHOT_FORMAT, workflowVersion: version, build: this.#env.buildOf(this.#definition) }
    try {
      await snapshots.save({ runId, ...end, ...code, body })
      if (++this.#kept > KEPT) await snapshots.prune(runId, { keep: KEPT })
      this.#kept = Math.min(this.#kept, KEPT)
    } catch (error) {
      // Whoever closed the store, or removed the run meanwhile, does not miss it.
      const isMissed = !isStoreError(error, 'STORE_CLOSED') && !isStoreError(error, 'RUN_NOT_FOUND')
      if (isMissed) this.#env.warn(error as Error)
    } finally {
      this.#pending.length -= body.length
    }
  }
}
