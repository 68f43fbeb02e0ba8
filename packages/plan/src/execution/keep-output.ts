import type { ActionArtifacts, ArtifactRef } from '@varve/kernel'
import type { StoredArtifact } from '@varve/store'
import { isBytes, type OutputSpec } from '../definition/output.ts'
import { validate } from '../definition/validate.ts'
import { PlanError } from '../errors.ts'

/** Keeps artifacts. */
export type ArtifactWriter = Pick<ActionArtifacts, 'put' | 'putJson'>

/**
 * Checks what a state returned and keeps it.
 *
 * @throws PlanError `OUTPUT_INVALID`; StoreError `NOT_JSON` | `LIMIT_EXCEEDED`.
 */
export async function keepOutput(
  stateId: string,
  output: OutputSpec,
  returned: unknown,
  artifacts: ArtifactWriter,
): Promise<ArtifactRef> {
  if (!isBytes(output)) {
    return artifacts.putJson(validate(output, returned, `output of ${stateId}`, 'OUTPUT_INVALID'))
  }
  const { mediaType } = output
  if (returned instanceof Uint8Array) return artifacts.put(returned, { mediaType })
  if (isStream(returned)) return artifacts.put(returned, { mediaType })
  if (isStored(returned)) return artifacts.put(returned.stream(), { mediaType })
  const text = `state ${stateId} makes bytes, and returned none: return a Uint8Array, a stream of them, or an artifact`
  throw new PlanError('OUTPUT_INVALID', text)
}

function isStream(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

function isStored(value: unknown): value is StoredArtifact {
  return typeof value === 'object' && value !== null && typeof (value as StoredArtifact).stream === 'function'
}
