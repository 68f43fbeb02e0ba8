import type { Snapshot, StoredEvent } from '@varve/store'
import type { SharedCommits } from './commits/shared-write.ts'
import type { AppendArgs, AppendedRecord, AppendShape, CreateArgs, CreatedRecord } from './events/append-queries.ts'
import type { PutArgs } from './artifacts/artifact-queries.ts'
import type { EntryArgs } from './cache/cache-queries.ts'
import type { CountedPost, PostArgs } from './inbox/post-queries.ts'
import type { DrivenArgs } from './runs/due-runs.ts'
import type { FirstRecord } from './runs/first-event.ts'
import type { ClaimRecord, LeaseArgs } from './runs/run-columns.ts'
import type { CacheEntriesTable } from './schema.ts'
import type { PruneArgs } from './snapshots/snapshot-queries.ts'

/**
 * The writes that each dialect does in its own way: one statement where a statement can write several tables, one
 * transaction of small statements where every round trip is a function call.
 *
 * Each happens as a whole, or changes nothing and answers undefined (false) when the database refuses it.
 */
export interface SqlWrites {
  create(creation: Creation): Promise<CreatedRecord | undefined>
  append(addition: Addition): Promise<AppendedRecord | undefined>
  /** @returns false for an unknown run, and for a seq below that of the newest snapshot. */
  saveSnapshot(snapshot: Snapshot): Promise<boolean>
  /** @returns how many snapshots were deleted. */
  pruneSnapshots(pruning: PruneArgs): Promise<number>
  /** Absent where no two writes share a commit. */
  readonly shared?: SharedCommits
  /** Refused when the run is unknown, ended or full, or the post a duplicate. */
  post(args: PostArgs): Promise<CountedPost | undefined>
  /** Claims from queues without limits, where one statement can; it answers the runs in their order. */
  readonly claim?: (args: ClaimArgs) => Promise<readonly (ClaimRecord & FirstRecord)[]>
  /**
   * Keeps an artifact of one chunk, or marks the one that has its name as used.
   *
   * @returns false when the bytes that are kept could not be seen to be these.
   */
  putArtifact(args: PutArgs): Promise<boolean>
  /** @param artifacts - What the entry refers to, each once. */
  keepEntry(args: EntryArgs, artifacts: readonly string[]): Promise<KeptEntry | undefined>
}

/** What is told of an entry that was kept. */
export type KeptEntry = Pick<CacheEntriesTable, 'key' | 'created_at'>

/** What a claim without limits binds. */
export interface ClaimArgs extends LeaseArgs, DrivenArgs {
  readonly limit: number
}

/** A run with its first events. */
export interface Creation {
  readonly run: CreateArgs
  readonly tags: readonly string[]
  /** What the run refers to, each once. */
  readonly artifacts: readonly string[]
  readonly events: readonly StoredEvent[]
}

/** What an append adds and changes. */
export interface Addition {
  readonly run: AppendArgs
  readonly shape: AppendShape
  readonly events: readonly StoredEvent[]
  /** Posts that stop waiting; each id once. */
  readonly posts: readonly SettledPost[]
  /** What the run refers to from now on, each once. */
  readonly artifacts: readonly string[]
}

/** A post that stops waiting: it is taken, or rejected for a reason. */
export interface SettledPost {
  readonly id: string
  /** JSON text of the reason; null when the post was taken. */
  readonly error: string | null
}
