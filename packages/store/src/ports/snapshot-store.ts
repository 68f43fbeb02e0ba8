/** Stored states: a cache, which may lose anything at any time. What is no whole number of at least 0 is `INVALID_ARGUMENT`. */
export interface SnapshotStore {
  /**
   * Keeps a snapshot. One of the same seq replaces the old one; one below the newest is passed over, so that a slow
   * writer never moves a run backwards.
   *
   * @throws StoreError `RUN_NOT_FOUND`.
   */
  save(snapshot: Snapshot): Promise<void>

  /** The snapshot with the highest seq, at or before `atOrBefore`. */
  latest(runId: string, options?: { readonly atOrBefore?: number }): Promise<Snapshot | undefined>

  /** Deletes all but the newest `keep` snapshots of a run. */
  prune(runId: string, options: { readonly keep: number }): Promise<void>
}

/** A run's folded state after one event of its log. */
export interface Snapshot {
  readonly runId: string
  /** Seq of the last event folded. */
  readonly seq: number
  /** Hash of that event: ties the snapshot to one log. */
  readonly hash: string
  /** Version of the format of `body`. */
  readonly format: number
  /** Version of the workflow that folded it. */
  readonly workflowVersion: string
  /** Identifies the code that folded it. */
  readonly build: string
  /** Canonical JSON text, kept byte for byte. */
  readonly body: string
}
