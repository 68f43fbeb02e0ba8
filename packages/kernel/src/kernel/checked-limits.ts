import { defaultLimits, isFrom, shown, type Limits } from '@varve/store'
import { LISTED_POSTS } from '../driver/run-calls.ts'
import { KernelError } from '../errors.ts'
import { TURN_BYTES, TURN_EVENTS } from '../run/decide.ts'

/** @throws KernelError `INVALID_DEFINITION` for limits under which a turn would not fit into an append. */
export function checkedLimits(limits: Limits): Limits {
  const least = { appendEvents: TURN_EVENTS + 2, appendBytes: 2 * (TURN_BYTES + limits.bodyBytes) }
  for (const [name, value] of Object.entries(limits) as [keyof Limits, number][]) {
    if (!Object.hasOwn(defaultLimits, name)) {
      const names = Object.keys(defaultLimits).join(', ')
      throw new KernelError('INVALID_DEFINITION', `there is no limit ${shown(name)}; there are ${names}`)
    }
    const from = name === 'appendEvents' || name === 'appendBytes' ? least[name] : 1
    const to = name === 'waitingPosts' ? LISTED_POSTS : Infinity
    if (Number.isSafeInteger(value) && isFrom(from, value) && value <= to) continue
    const range = to === Infinity ? `from ${from}` : `from ${from} to ${to}`
    throw new KernelError('INVALID_DEFINITION', `limits.${name} must be a whole number ${range}, got ${shown(value)}`)
  }
  return limits
}
