import type { ContentId } from '@varve/store'
import { artifactsInValue } from '../artifacts/artifacts-in.ts'
import { repeatable } from '../driver/append.ts'
import type { Clock } from '../clock.ts'
import type { Environment } from '../driver/environment.ts'
import { readPosts } from '../views/read-posts.ts'

const RUNS = 500

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
      const posts = readPosts((page) => repeatable(env, () => inbox.list(runId, page)))
      for await (const { body } of posts) for (const id of artifactsInValue(JSON.parse(body))) found.add(id)
    }
    cursor = page.next
  } while (cursor !== undefined)
  return found
}
