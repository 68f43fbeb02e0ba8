import type { ErrorInfo } from '../log/event-data.ts'
import type { Denial } from './policy.ts'

/** The error that a denied action ends with; a policy that gives no code of its own has `ACTION_DENIED`. */
export function deniedError({ policy, reason, code = 'ACTION_DENIED' }: Denial): ErrorInfo {
  return { message: `${policy}: ${reason}`, kind: 'permanent', code }
}
