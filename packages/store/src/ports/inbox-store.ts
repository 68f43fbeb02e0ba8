import type { Page, PageRequest } from './store.ts'

/**
 * What is handed to a run from outside. Posting needs no lease: the run's driver takes posts into the log with its next
 * append, so a post never loses a race.
 */
export interface InboxStore {
  /**
   * Keeps a post, makes its run due, clears the run's `problem` and notifies, in one transaction.
   *
   * Checked in this order: the run exists (`RUN_NOT_FOUND`); no post of this id waits or was taken (`duplicate`, nothing
   * changes); the run has not ended (`RUN_TERMINAL`); fewer than `maxWaiting` posts wait (`INBOX_FULL`).
   *
   * @throws StoreError `RUN_NOT_FOUND` | `RUN_TERMINAL` | `INBOX_FULL` | `UNKNOWN_OUTCOME` | `INVALID_ARGUMENT` (an id that is none,
   * a `maxWaiting` that is no whole number of at least 0).
   */
  post(runId: string, post: PostDraft, options: { readonly maxWaiting: number }): Promise<'kept' | 'duplicate'>

  /**
   * Posts that wait, in the order in which they were kept. One that is taken meanwhile hides none behind it, and one that is kept later
   * stands behind every page, also when all before it are gone. A page ends before the post with which its bodies would have more
   * than 4 MiB, and has one post at least: `next` tells whether more wait.
   */
  list(runId: string, page: PageRequest): Promise<Page<Post>>

  /**
   * Posts that the driver refused, in the order in which they were kept, in pages like those of {@link InboxStore.list}. One that
   * is refused behind others that came later stands before these: whoever has read on does not see it.
   */
  rejected(runId: string, page: PageRequest): Promise<Page<RejectedPost>>
}

/** A post as its sender makes it. */
export interface PostDraft {
  /** Unique within the run; a second post of the same id is a duplicate. */
  readonly id: string
  /** Type of the event that it will become. */
  readonly type: string
  /** Canonical JSON text of that event's data, kept byte for byte. */
  readonly body: string
}

/** A post that waits. */
export interface Post extends PostDraft {
  /** Unix milliseconds of the store's clock at which it was kept. */
  readonly postedAt: number
}

/** A post that can never be taken. */
export interface RejectedPost extends Post {
  /** Canonical JSON text of the error. */
  readonly error: string
}
