import type { Page, PageRequest } from '@varve/store'

const LIMIT = 500

/** Every item of a list, page after page. */
export async function* allItems<T>(list: (page: PageRequest) => Promise<Page<T>>): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined
  do {
    const page = await list({ limit: LIMIT, ...(cursor !== undefined && { cursor }) })
    yield* page.items
    cursor = page.next
  } while (cursor !== undefined)
}
