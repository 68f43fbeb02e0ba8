import { StoreError } from '../errors.ts'
import { shown } from '../given-value.ts'
import type { Page } from '../ports/store.ts'

/**
 * The page that `found` makes.
 *
 * @param found - The items from here on. More of them than the page holds say that there is a next one.
 * @param position - Where an item stands; the next page begins behind it.
 * @param bound - There where a page also ends before its items have more than `bytes` bytes, unless it is a single one.
 */
export function pageOf<Found, T>(
  found: readonly Found[],
  limit: number,
  item: (found: Found) => T,
  position: (found: Found) => unknown,
  bound?: { readonly bytes: number; readonly sizeOf: (found: Found) => number },
): Page<T> {
  const count = bound === undefined ? limit : Math.min(limit, fitting(found, bound.bytes, bound.sizeOf))
  const items = found.slice(0, count).map(item)
  const last = found[count - 1]
  if (last === undefined || found.length <= count) return { items }
  return { items, next: Buffer.from(JSON.stringify(position(last))).toString('base64url') }
}

function fitting<Found>(found: readonly Found[], most: number, sizeOf: (found: Found) => number): number {
  let bytes = 0
  const end = found.findIndex((each) => (bytes += sizeOf(each)) > most)
  return end === -1 ? found.length : Math.max(end, 1)
}

/** @throws StoreError `INVALID_ARGUMENT` for a cursor that no page gave, also for what is no text. */
export function readCursor<T>(cursor: unknown, isPosition: (value: unknown) => value is T): T {
  const position = typeof cursor === 'string' ? parse(Buffer.from(cursor, 'base64url').toString()) : undefined
  if (isPosition(position)) return position
  throw new StoreError('INVALID_ARGUMENT', `the cursor ${shown(cursor)} is not the \`next\` of a page`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
