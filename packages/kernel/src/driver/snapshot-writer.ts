import { holdFold, SNAPSHOT_FORMAT, type HeldFold } from '../run/snapshot-body.ts'
import type { RunFold } from '../run/run-fold.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { Environment } from './environment.ts'
import type { LoadedRun } from './load-run.ts'

/** A tail shorter than this is read faster than a snapshot is worth. */
const TAIL_EVENTS = 100
const KEPT = 2

/**
 * Writes snapshots of one drive, off the commit path. They are a cache: what goes wrong is told and forgotten.
 *
 * While a run is not terminal a snapshot stands before its last decision, so that whoever opens the run next finds a
 * decision to check in the tail.
 */
export class SnapshotWriter {
  readonly #env: Environment
  readonly #definition: Definition
  #seq: number
  #length: number
  /** Those of this drive: what was read goes into the snapshot that is saved when the run blocks, not into one more. */
  #tailEvents = 0
  #tailLength: number
  /** How many there may be. */
  #kept: number
  #held: HeldFold | undefined
  #writing: Promise<void>

  /** @param before - the writer of a fold that was dropped; what it has under way is waited for, too. */
  constructor(
    env: Environment,
    definition: Definition,
    loaded: Omit<LoadedRun, 'fold'>,
    before: SnapshotWriter | undefined,
  ) {
    this.#writing = before?.settled() ?? Promise.resolve()
    this.#env = env
    this.#definition = definition
    this.#seq = loaded.snapshotSeq
    this.#length = loaded.snapshotLength
    this.#tailLength = loaded.tailLength
    this.#kept = loaded.snapshotSeq > 0 ? KEPT : 0
  }

  /** Counts a durable turn; `held` is the fold before its decisions. Saves when the tail has grown long enough. */
  appended(runId: string, events: readonly { readonly stored: { readonly body: string } }[], held?: HeldFold): void {
    this.#tailEvents += events.length
    for (const { stored } of events) this.#tailLength += stored.body.length
    this.#held = held
    if (held === undefined) return
    if (this.#tailEvents >= TAIL_EVENTS && this.#tailLength >= this.#length) this.#save(runId, held)
  }

  /** Saves the state in which a run blocks. */
  blocked(runId: string): void {
    if (this.#held !== undefined) this.#save(runId, this.#held)
  }

  /** Saves the state in which a run ended. */
  ended(fold: RunFold): void {
    this.#save(fold.system.runId, holdFold(fold))
  }

  /** Resolves when everything is written or given up. */
  settled(): Promise<void> {
    return this.#writing
  }

  #save(runId: string, { end, body }: HeldFold): void {
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
    this.#tailEvents = 0
    this.#tailLength = 0
    this.#writing = this.#writing.then(() => this.#write(runId, end, text))
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
      this.#env.warn(error as Error)
    }
  }
}
