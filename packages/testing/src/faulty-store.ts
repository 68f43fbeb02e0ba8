import { shown, StoreError, type NamesOf, type Store } from '@varve/store'
import { checkGiven, invalid, isCount } from './given.ts'
import { interceptStore, MUTATES, type StoreCallName } from './wrapped-store.ts'

/** One thing that goes wrong with a store. */
export interface StoreFault {
  /** The method that it strikes, such as `events.append`. */
  readonly call: StoreCallName
  /** Strikes this call of the method, counted from 1. Left out, it strikes every one. */
  readonly nth?: number
  /**
   * - `answer-lost`: the call is made, then throws `UNKNOWN_OUTCOME`, as when the connection breaks after a commit.
   * - `request-lost`: the call is not made and throws `UNKNOWN_OUTCOME`, as when it breaks before.
   * - `unreachable`: the call is not made and throws `STORE_UNREACHABLE`, which may be tried again.
   * - an error: the call is not made and throws it.
   */
  readonly fault: 'answer-lost' | 'request-lost' | 'unreachable' | Error
}

/**
 * A store with faults: what a database behind a network does to its callers. A call that several faults would strike gets
 * the first of them. Disposing of it leaves the store below open.
 *
 * @throws TestingError `INVALID_SCENARIO` for a fault that strikes no call that there is.
 */
export function faultyStore(store: Store, faults: readonly StoreFault[]): Store {
  for (const fault of faults) checkFault(fault)
  const counts = new Map<StoreCallName, number>()
  return interceptStore(store, async ({ name }, proceed) => {
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    const struck = faults.find(({ call, nth }) => call === name && (nth === undefined || nth === count))
    if (struck === undefined) return proceed()
    if (struck.fault === 'answer-lost') await proceed()
    throw errorOf(struck.fault, `${name} ${count}`)
  })
}

const NAMES: NamesOf<StoreFault> = { call: true, nth: true, fault: true }
const KINDS = ['answer-lost', 'request-lost', 'unreachable']

/** One that never strikes would have a test pass in which nothing went wrong. */
function checkFault(given: StoreFault): void {
  checkGiven('a fault of a store', given, NAMES)
  const { call, nth = 1, fault } = given
  if (!Object.hasOwn(MUTATES, call)) throw invalid(`a store has no call ${shown(call)}, only ${allCalls()}`)
  if (!isCount(nth)) throw invalid(`nth must be a whole number from 1, got ${shown(nth)}`)
  if (KINDS.some((kind) => kind === fault) || isError(fault)) return
  throw invalid(`fault must be ${KINDS.join(', ')} or an error, got ${shown(fault)}`)
}

/** Also one of another realm, such as a test runner's. */
function isError(fault: unknown): boolean {
  return fault instanceof Error || Object.prototype.toString.call(fault) === '[object Error]'
}

function allCalls(): string {
  return Object.keys(MUTATES).join(', ')
}

function errorOf(fault: StoreFault['fault'], call: string): Error {
  if (typeof fault === 'object') return fault
  if (fault === 'unreachable') {
    return new StoreError('STORE_UNREACHABLE', `${call} was not sent, on purpose`, { retryable: true })
  }
  const lost = fault === 'answer-lost' ? 'answer' : 'request'
  return new StoreError('UNKNOWN_OUTCOME', `the ${lost} of ${call} was lost on purpose`)
}
