import { StoreError } from '../errors.ts'
import { checkList, checkOneOf, checkOptions, shown } from '../given-value.ts'
import { checkId } from '../limits.ts'
import type { RunFilter } from '../ports/run-store.ts'
import type { RunStatus } from '../ports/run.ts'
import type { PageRequest } from '../ports/store.ts'
import { checkContentId, checkLimit, checkWhole } from './arguments.ts'

/** By name, so that none is forgotten. */
const STATUSES = Object.keys({
  ...{ running: true, blocked: true },
  ...{ completed: true, failed: true, canceled: true, continued: true },
} satisfies Record<RunStatus, true>)

/**
 * Checks what a list of runs is asked for: objects with ids, a list of known statuses, a list of tags, booleans, whole
 * milliseconds and a limit of 1-1000. What is `undefined` is no condition. The cursor is for `readCursor` to check.
 *
 * Whoever removes what a filter finds relies on it: a condition that means nothing must not find every run.
 *
 * @throws StoreError `INVALID_ARGUMENT`.
 */
export function checkRunFilter(filter: RunFilter, page: PageRequest): void {
  checkOptions('the filter of a list', filter)
  checkOptions('the page of a list', page)
  const { workflow, version, parent, statuses, tags, artifact, parked, owing, leased } = filter
  const { createdFrom, createdBefore, endedBefore } = filter
  checkLimit(page.limit)
  for (const [what, id] of given({ workflow, version, parent })) checkId(what, id)
  for (const [what, list] of given({ statuses, tags })) checkList(what, list)
  for (const status of statuses ?? []) checkOneOf('a status', status, STATUSES)
  for (const tag of tags ?? []) checkId('a tag', tag)
  if (artifact !== undefined) checkContentId(artifact)
  for (const [what, flag] of given({ parked, owing, leased })) checkFlag(what, flag)
  const times = given({ createdFrom, createdBefore, endedBefore })
  for (const [what, at] of times) checkWhole(what, at, Number.MIN_SAFE_INTEGER)
}

function checkFlag(what: string, flag: unknown): void {
  if (typeof flag === 'boolean') return
  throw new StoreError('INVALID_ARGUMENT', `${what} must be true or false, got ${shown(flag)}`)
}

/** Those that are there. */
function given<T>(conditions: Readonly<Record<string, T | undefined>>): (readonly [what: string, value: T])[] {
  return Object.entries(conditions).flatMap(([what, value]) => (value === undefined ? [] : [[what, value] as const]))
}
