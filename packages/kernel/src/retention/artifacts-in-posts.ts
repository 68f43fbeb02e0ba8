import { allItems, type ContentId } from '@varve/store'
import { artifactsInValue } from '../artifacts/artifacts-in.ts'
import { repeatable } from '../driver/append.ts'
import type { Clock } from '../clock.ts'
import type { Environment } from '../driver/environment.ts'
const PAGE = 500

/** The artifacts that posts refer to which no driver has taken yet: nothing else refers to them until one does. */
export async function artifactsInPosts(
  env: Pick<Environment, 'store'> & { readonly clock: Clock },
): Promise<ReadonlySet<ContentId>> {
  const { runs, inbox } = env.store
  const found = new Set<ContentId>()
  const living = allItems((page) => repeatable(env, () => runs.list({ statuses: ['running', 'blocked'] }, page)), PAGE)
  for await (const { runId, waiting } of living) {
    if (waiting === 0) continue
    const posts = allItems((page) => repeatable(env, () => inbox.list(runId, page)), PAGE)
    for await (const { body } of posts) for (const id of artifactsInValue(JSON.parse(body))) found.add(id)
  }
  return found
}
