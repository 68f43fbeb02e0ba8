import type { ContentId } from '../content-id.ts'
import type { Page, PageRequest } from './store.ts'

/**
 * Immutable bytes, each under the hash of its content. What is named here is whole: an artifact appears with its last byte
 * or not at all, whatever dies meanwhile, and putting the same bytes again, also many times at once, changes nothing but
 * their last use, and mends what was damaged.
 *
 * May be a part of a {@link Store} or stand alone; its contract is separate for that. Times are those of its own clock.
 */
export interface ArtifactStore {
  /**
   * Keeps bytes and names them. Of a stream no more than a few chunks are held in memory; when it throws, nothing is kept
   * and its error is thrown on. The chunks of a stream are copied, so that it may use its buffer again; bytes must stay as
   * they are until the answer comes. A put counts as a use. Where other bytes are kept under the name, or fewer, for a disk or a hand
   * has changed them, these take their place, also when many put them at once: then the artifact is whole, with the media type that it had.
   *
   * @param options - `mediaType` says what the bytes are: 1-200 characters, default `application/octet-stream`. It is no part
   * of the name; of several for the same bytes the first is kept.
   * @throws StoreError `INVALID_ARGUMENT` for what are no bytes.
   */
  put(content: Uint8Array | AsyncIterable<Uint8Array>, options?: { readonly mediaType?: string }): Promise<ContentId>

  /** An artifact to read; not a use. @throws StoreError `ARTIFACT_NOT_FOUND` | `INVALID_ARGUMENT` for what is no id. */
  get(id: ContentId): Promise<StoredArtifact>

  /** Whether it is there; says nothing of its bytes. */
  has(id: ContentId): Promise<boolean>

  /**
   * Marks artifacts as used now, 1-1000 of them.
   *
   * @param options - `durable`: with false the failure of the machine that holds them may take it back, for whoever refers to them in a
   * commit before anything else depends on it; a store may make it durable all the same. Default true.
   * @returns those that are there, in the order given.
   */
  touch(ids: readonly ContentId[], options?: { readonly durable?: boolean }): Promise<readonly ContentId[]>

  /** By id. Artifacts that come or go meanwhile shift no later page. */
  list(filter: ArtifactFilter, page: PageRequest): Promise<Page<ArtifactRow>>

  /**
   * Deletes an artifact unless it was used at or after `ifUnusedSince`, Unix milliseconds; compared and deleted in one, so
   * that a put or a touch at the same time either keeps it or comes after.
   *
   * @returns true when it was deleted; false when it was used, and when there is none.
   */
  delete(id: ContentId, options: { readonly ifUnusedSince: number }): Promise<boolean>
}

/** Bytes that are kept, and how to read them. */
export interface StoredArtifact {
  readonly id: ContentId
  /** Bytes. */
  readonly size: number
  readonly mediaType: string
  /**
   * All of it.
   *
   * @throws StoreError `ARTIFACT_CORRUPT`, with the id as `where.artifact`, when the bytes do not have the hash: to put them again mends it;
   * `ARTIFACT_NOT_FOUND` when it was deleted meanwhile.
   */
  bytes(): Promise<Uint8Array>
  /**
   * In chunks of at most 1 MiB; may be read more than once. The last chunk is given out only when the whole had its hash.
   *
   * @throws StoreError as {@link bytes}.
   */
  stream(): AsyncIterable<Uint8Array>
}

/** Which artifacts to list. */
export interface ArtifactFilter {
  /** Only those not used at or after this time, Unix milliseconds. */
  readonly unusedSince?: number
}

/** An artifact as a list shows it. */
export interface ArtifactRow {
  readonly id: ContentId
  /** Bytes. */
  readonly size: number
  readonly mediaType: string
  /** Unix milliseconds. */
  readonly createdAt: number
  /** When it was last put or touched, Unix milliseconds. Never goes back, though the clock may. */
  readonly usedAt: number
}
