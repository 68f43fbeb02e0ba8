import { isContentId, type ContentId, type Store } from '@varve/store'

const RUNS = 500
const POSTS = 1000

/** The artifacts that posts refer to which no driver has taken yet: nothing else refers to them until one does. */
export async function artifactsInPosts(store: Store): Promise<ReadonlySet<ContentId>> {
  const found = new Set<ContentId>()
  let cursor: string | undefined
  do {
    const page = await store.runs.list(
      { statuses: ['running', 'blocked'] },
      { limit: RUNS, ...(cursor !== undefined && { cursor }) },
    )
    for (const { runId, waiting } of page.items) {
      if (waiting === 0) continue
      for (const { body } of await store.inbox.list(runId, { limit: POSTS })) addReferences(JSON.parse(body), found)
    }
    cursor = page.next
  } while (cursor !== undefined)
  return found
}

/** A loop: what is posted may be deep. */
function addReferences(data: unknown, found: Set<ContentId>): void {
  const values = [data]
  for (let value = values.pop(); value !== undefined; value = values.pop()) {
    if (typeof value !== 'object' || value === null) continue
    const id: unknown = (value as { readonly $artifact?: unknown }).$artifact
    if (isContentId(id)) found.add(id)
    for (const part of Object.values(value)) values.push(part)
  }
}
