import type { Page, PageRequest } from './store.ts'

/**
 * Reads a list to its end, page after page, each when it is asked for.
 *
 * @param list Answers one page, as `store.runs.list` and `kernel.list` do.
 * @param limit How many items a page has at most, 1-1000.
 * @throws What `list` throws.
 */
export async function* allPages<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  limit = 200,
): AsyncGenerator<readonly T[], void, undefined> {
  let cursor: string | undefined
  do {
    const { items, next } = await list({ limit, ...(cursor !== undefined && { cursor }) })
    yield items
    cursor = next
  } while (cursor !== undefined)
}

/**
 * The items of a list, one by one: `for await (const run of allItems((page) => kernel.list({ tags: ['daily'] }, page)))`.
 * Parameters as of {@link allPages}.
 *
 * @throws What `list` throws.
 */
export async function* allItems<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  limit?: number,
): AsyncGenerator<T, void, undefined> {
  for await (const items of allPages(list, limit)) yield* items
}
