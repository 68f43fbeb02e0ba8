import type { RunStatus } from '@varve/store'
import type { Generated, QueryCreator } from 'kysely'

/** The tables of a store, as every SQL database holds them. Numbers are integers, instants are Unix milliseconds. */
export interface Schema {
  readonly varve_schema: SchemaTable
  readonly runs: RunsTable
  readonly run_tags: RunTagsTable
  readonly events: EventsTable
  /** On SQLite, where `events` is a view of this and of the next: see `sqliteLogs`. */
  readonly lone_events: EventsTable
  readonly shared_events: EventsTable
  readonly posts: PostsTable
  readonly snapshots: SnapshotsTable
  readonly artifacts: ArtifactsTable
  readonly artifact_chunks: ArtifactChunksTable
  readonly uploads: UploadsTable
  readonly run_artifacts: RunArtifactsTable
  readonly cache_entries: CacheEntriesTable
  readonly cache_artifacts: CacheArtifactsTable
  readonly secrets: SecretsTable
}

/** One row: marks the database as ours and says how far it was migrated. */
export interface SchemaTable {
  readonly application: string
  readonly version: number
}

/** One row per run. Columns that change with every append are in no index. */
export interface RunsTable {
  readonly run_id: string
  readonly workflow: string
  readonly version: string
  /** JSON array of strings. */
  readonly tags: string
  readonly queue: string
  readonly priority: number
  readonly concurrency_key: string | null
  readonly parent: string | null
  readonly created_at: number
  readonly status: RunStatus
  /** JSON array. */
  readonly blocked_on: string
  /** Unchanged while the run stays due, so that its place in the index of due runs does not move. */
  readonly wake_at: number | null
  readonly head: number
  readonly format: number
  readonly waiting: number
  /** Posts ever kept: the number of the last one. */
  readonly posted: number
  /** JSON array, null for no debts. */
  readonly owes: string | null
  readonly recoveries: number
  /** JSON object. */
  readonly problem: string | null
  /** `retryAt` of the problem. */
  readonly retry_at: number | null
  readonly token: number
  /** JSON object; null when the run is under no lease. */
  readonly lease_owner: string | null
  readonly lease_owner_id: string | null
  readonly lease_until: number | null
  readonly ended_at: number | null
  /** When a claim with a rate leased the run for the first time. */
  readonly begun_at: number | null
}

/** The tags of runs, in the order of lists. */
export interface RunTagsTable {
  readonly tag: string
  /** That of the run. */
  readonly created_at: number
  readonly run_id: string
}

/** The logs. */
export interface EventsTable {
  /** On Postgres, the first part of the key. */
  readonly run_id?: string
  /** On SQLite, the key: see `eventId`. */
  readonly id?: number
  /** On Postgres the rest of the key; on SQLite computed. */
  readonly seq: Generated<number>
  readonly v: number
  readonly type: string
  readonly at: number
  /** The exact text that was hashed: never a JSON type. */
  readonly body: string
  readonly hash: string
}

/** The inboxes. */
export interface PostsTable {
  readonly run_id: string
  /** Order in which the run's posts were kept, from 1. */
  readonly number: number
  /** Unique in the run among the posts that were not rejected. */
  readonly id: string
  readonly type: string
  /** Empty once the post was taken: the log has it. */
  readonly body: string
  readonly state: 'waiting' | 'taken' | 'rejected'
  /** JSON text of the reason for a rejection. */
  readonly error: string | null
  readonly posted_at: number
}

/** The stored states. */
export interface SnapshotsTable {
  readonly run_id: string
  readonly seq: number
  readonly hash: string
  readonly format: number
  readonly workflow_version: string
  readonly build: string
  readonly body: string
}

/** One row per artifact. Only `used_at` ever changes, and no index holds it. */
export interface ArtifactsTable {
  readonly id: string
  /** The upload under which its chunks are kept. */
  readonly upload: string
  /** Bytes. */
  readonly size: number
  readonly media_type: string
  readonly created_at: number
  readonly used_at: number
}

/** The bytes of artifacts, and of uploads that are under way. */
export interface ArtifactChunksTable {
  readonly upload: string
  /** From 0. */
  readonly number: number
  readonly bytes: Uint8Array
}

/** Uploads that have no name yet. Their chunks belong to nobody else as long as this row is there. */
export interface UploadsTable {
  readonly id: string
  /** When its last chunk came. */
  readonly moved_at: number
}

/** What runs refer to. */
export interface RunArtifactsTable {
  readonly artifact: string
  /** The run's, so that the newest runs of an artifact stand together. */
  readonly created_at: number
  readonly run_id: string
}

/** The entries of the cache. */
export interface CacheEntriesTable {
  readonly key: string
  readonly entry_group: string
  /** JSON array of strings. */
  readonly artifacts: string
  /** JSON text. */
  readonly body: string
  readonly created_at: number
}

/** What entries of the cache refer to. */
export interface CacheArtifactsTable {
  readonly artifact: string
  readonly key: string
}

/** The sealed values. */
export interface SecretsTable {
  readonly id: string
  /** Null once it was erased: the row stays, and with it the id is taken for good. */
  readonly sealed: Uint8Array | null
}

/** Inside a query with common table expressions the builder knows more tables than ours; only ours matter here. */
export function asSchema<DB extends Schema>(db: QueryCreator<DB>): QueryCreator<Schema> {
  return db as unknown as QueryCreator<Schema>
}
