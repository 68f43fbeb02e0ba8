import { canonicalJson } from '@varve/store'
import type { Environment } from './environment.ts'
import { artifactsIn, checkArtifactCount, mayHaveArtifacts } from '../artifacts/artifacts-in.ts'
import { KernelError } from '../errors.ts'
import { wrongIn } from '../log/data-check.ts'
import type { EventType } from '../log/event-data.ts'

/**
 * Refuses what the log could not keep while the caller is still there to hear of it: a post that is set aside later may be missed by
 * everybody.
 *
 * @param what - names it, for errors.
 * @throws KernelError `INVALID_INPUT` | `LIMIT_EXCEEDED`; StoreError `NOT_JSON` | `LIMIT_EXCEEDED` (depth, artifacts).
 */
export function checkRecordable({ limits }: Environment, type: EventType, data: object, what: string): void {
  const wrong = wrongIn(type, data)
  if (wrong !== undefined)
    throw new KernelError('INVALID_INPUT', `${[what, ...wrong.path].join('.')}: ${wrong.message}`)
  const text = canonicalJson(data, { name: what, maxDepth: limits.depth })
  if (mayHaveArtifacts(text)) checkArtifactCount(artifactsIn(text), `the ${what}`, {})
  const bytes = Buffer.byteLength(text)
  if (bytes <= limits.bodyBytes) return
  const remedy = `${limits.bodyBytes} are allowed; keep large values outside and send a reference`
  throw new KernelError('LIMIT_EXCEEDED', `the ${what} has ${bytes} bytes, ${remedy}`)
}
