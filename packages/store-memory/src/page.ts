import { StoreError, type Page } from '@varve/store'

/** The first `limit` of `rest`; `position` says where the page after them begins. */
export function pageOf<T>(rest: readonly T[], limit: number, position: (last: T) => unknown): Page<T> {
  const items = rest.slice(0, limit)
  const last = items.at(-1)
  if (last === undefined || rest.length <= limit) return { items }
  return { items, next: Buffer.from(JSON.stringify(position(last))).toString('base64url') }
}

/** @throws StoreError `INVALID_ARGUMENT` for a cursor that no page gave. */
export function readCursor<T>(cursor: string, isPosition: (value: unknown) => value is T): T {
  const position = parse(Buffer.from(cursor, 'base64url').toString())
  if (isPosition(position)) return position
  throw new StoreError(
    'INVALID_ARGUMENT',
    `the cursor ${JSON.stringify(cursor.slice(0, 80))} is not the \`next\` of a page`,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
