import { StoreError } from '../errors.ts'
import { shown } from '../given-value.ts'
import { checkWhole } from './arguments.ts'

/**
 * A clock that tells whole Unix milliseconds, or throws: what it tells is stored and compared, where a database would take a
 * text as well, and becomes names of files. Make it before anything is opened.
 *
 * @throws StoreError `INVALID_ARGUMENT` for what is no function; the clock throws it for a time that is no whole number.
 */
export function checkedClock(now: () => number): () => number {
  const given: unknown = now
  if (typeof given !== 'function') {
    throw new StoreError('INVALID_ARGUMENT', `now must be a function that tells Unix ms, got ${shown(given)}`)
  }
  return () => {
    const time = now()
    checkWhole('the time of the clock, in Unix ms,', time, Number.MIN_SAFE_INTEGER)
    return time
  }
}
