import type { Page, PageRequest } from '@varve/store'

const PAGE = 1000

/** The posts of an inbox, page by page. */
export async function* readPosts<T>(list: (page: PageRequest) => Promise<Page<T>>): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined
  do {
    const page = await list({ limit: PAGE, ...(cursor !== undefined && { cursor }) })
    yield* page.items
    cursor = page.next
  } while (cursor !== undefined)
}
