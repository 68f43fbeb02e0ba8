import type { ContentId, Json, StoredArtifact } from '@varve/store'
import type { ArtifactRef } from './artifact-ref.ts'

/**
 * Where an action's handler keeps and reads artifacts. Bound to its attempt: when that is aborted, what is under way rejects
 * with the signal's reason; when it is over, everything does with `NOT_OPEN`.
 *
 * What is put is kept for good only once the log refers to it: return the reference, or record it in a fact. An artifact that
 * no event refers to, such as one of an attempt that failed, is garbage, which a collection removes after its grace period.
 * Bytes and texts that hold a secret of the action's input are refused.
 */
export interface ActionArtifacts {
  /**
   * Keeps bytes, a text as UTF-8, or a stream, of which no more than a few chunks are held in memory. The same content is
   * the same artifact, whoever puts it, and putting it again changes nothing.
   *
   * @param options - `mediaType`: 1-200 characters. Default `application/octet-stream`, of a text `text/plain;charset=utf-8`.
   * @throws KernelError `INVALID_INPUT` (a text with half a surrogate pair) | `NOT_OPEN`; StoreError `INVALID_ARGUMENT`; what the
   * stream throws, and nothing is kept then.
   */
  readonly put: (
    content: Uint8Array | string | AsyncIterable<Uint8Array>,
    options?: { readonly mediaType?: string },
  ) => Promise<ArtifactRef>
  /**
   * Keeps a value as canonical JSON, so that equal values are the same artifact. A secret of the action's input that it holds
   * unmarked is taken out.
   *
   * @throws KernelError `NOT_OPEN`; StoreError `NOT_JSON` | `LIMIT_EXCEEDED` (depth).
   */
  readonly putJson: (value: unknown) => Promise<ArtifactRef>
  /** @throws KernelError `INVALID_INPUT` (neither a reference nor an id) | `NOT_OPEN`; StoreError `ARTIFACT_NOT_FOUND`. */
  readonly get: (artifact: ArtifactRef | ContentId) => Promise<StoredArtifact>
  /**
   * What {@link putJson} kept, once its bytes have shown the hash that names them.
   *
   * @throws KernelError `INVALID_INPUT` (also for bytes that are no JSON) | `NOT_OPEN`; StoreError `ARTIFACT_NOT_FOUND` |
   * `ARTIFACT_CORRUPT`.
   */
  readonly json: (artifact: ArtifactRef | ContentId) => Promise<Json>
}
