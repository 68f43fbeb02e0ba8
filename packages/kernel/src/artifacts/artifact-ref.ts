import { isContentId, type ContentId } from '@varve/store'

/**
 * Stands for an artifact in inputs, outputs, facts, signals and answers: whatever holds one keeps the artifact from being
 * collected as long as the run is there. A type and no interface: only so it is a JSON value to TypeScript.
 */
export type ArtifactRef = {
  readonly $artifact: ContentId
  /** Bytes. */
  readonly size: number
  /** What the bytes are, as whoever put them said. */
  readonly mediaType: string
}

/** True for an {@link ArtifactRef}; says nothing of whether the artifact is there. */
export function isArtifactRef(value: unknown): value is ArtifactRef {
  if (typeof value !== 'object' || value === null) return false
  const { $artifact, size, mediaType } = value as Partial<Record<keyof ArtifactRef, unknown>>
  return isContentId($artifact) && Number.isSafeInteger(size) && (size as number) >= 0 && typeof mediaType === 'string'
}
