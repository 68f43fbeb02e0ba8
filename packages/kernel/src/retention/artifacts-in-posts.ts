import { isContentId, type ContentId } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Clock } from '../clock.ts'
import type { Environment } from '../driver/environment.ts'

const RUNS = 500
const POSTS = 1000

/** The artifacts that posts refer to which no driver has taken yet: nothing else refers to them until one does. */
export async function artifactsInPosts(
  env: Pick<Environment, 'store'> & { readonly clock: Clock },
): Promise<ReadonlySet<ContentId>> {
  const { runs, inbox } = env.store
  const found = new Set<ContentId>()
  let cursor: string | undefined
  do {
    const request = { limit: RUNS, ...(cursor !== undefined && { cursor }) }
    const page = await repeatable(env, () => runs.list({ statuses: ['running', 'blocked'] }, request))
    for (const { runId, waiting } of page.items) {
      if (waiting === 0) continue
      const posts = await repeatable(env, () => inbox.list(runId, { limit: POSTS }))
      for (const { body } of posts) addReferences(JSON.parse(body), found)
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
