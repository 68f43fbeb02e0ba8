import type { Snapshot } from '@varve/store'
import type { AppendedRecord, CreatedRecord } from '../events/append-queries.ts'
import type { PruneArgs } from '../snapshots/snapshot-queries.ts'
import type { Addition, Creation } from '../writes.ts'

/** A write that may share a commit with those of other runs. */
export type SharedWrite =
  | { readonly kind: 'create'; readonly creation: Creation }
  | { readonly kind: 'append'; readonly addition: Addition }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'prune'; readonly pruning: PruneArgs }

/** What the same write answers when it is made alone: undefined or false when the database refuses it. */
export interface Answers {
  readonly create: CreatedRecord | undefined
  readonly append: AppendedRecord | undefined
  readonly snapshot: boolean
  readonly prune: number
}

/** What some such write answers. */
export type Answer = Answers[SharedWrite['kind']]

/** What a write of a batch answers; `locked` when it was passed over, since somebody else writes to its run. */
export type SharedAnswer = Answer | 'locked'

/** How a database commits the writes of several runs at once. */
export interface SharedCommits {
  /** So many may be under way at once. */
  readonly lanes: number
  /**
   * In ms, where somebody else may hold the row that a write is for: one that is made alone and takes longer keeps nobody from
   * beginning any more. Absent where what it waits for holds up everybody.
   */
  readonly patienceMs?: number
  /** Whether the write may be part of a batch; otherwise it is made alone, beside them. */
  accepts(write: SharedWrite): boolean
  /**
   * Makes 2 or more writes in one transaction, which waits for nobody who holds but a few of their runs. A batch has at most
   * one create or append, one snapshot and one pruning of each run. Each write is refused by itself; when the call throws, none of them
   * was made, or with `UNKNOWN_OUTCOME` nobody knows.
   *
   * @returns what each write answers, in their order.
   */
  commit(batch: readonly SharedWrite[]): Promise<readonly SharedAnswer[]>
}
