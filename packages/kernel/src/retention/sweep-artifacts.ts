import { allPages, type ArtifactRow, type ContentId } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Clock } from '../clock.ts'
import type { Environment } from '../driver/environment.ts'
import { artifactsInPosts } from './artifacts-in-posts.ts'

/** Which artifacts are swept. */
export interface SweepOptions {
  /** Unix milliseconds: what was put or touched at or after this stays. */
  readonly unusedSince: number
  /** True: nothing is deleted; what would be is told. Default false. */
  readonly dryRun?: boolean
  /** Those of the given artifacts, 1-1000, that the cache keeps. Default: those that any of its entries refers to. */
  readonly cached?: (ids: readonly ContentId[]) => Promise<readonly ContentId[]>
}

const PAGE = 500

/**
 * Deletes the artifacts that no run, no post to one and no entry of the cache refers to, and that nobody has used lately; yields each
 * that is gone. What is used meanwhile stays: the store compares and deletes in one. Reads page by page. Two at once do no harm.
 */
export async function* sweepArtifacts(
  env: Pick<Environment, 'store' | 'artifacts'> & { readonly clock: Clock },
  { unusedSince, dryRun = false, cached = (ids) => env.store.cache.referred(ids) }: SweepOptions,
): AsyncGenerator<ArtifactRow, void, undefined> {
  const { artifacts, store } = env
  // Before the logs are asked: what is posted is in the one or in the other.
  const posted = await artifactsInPosts(env)
  const unused = allPages((page) => repeatable(env, () => artifacts.list({ unusedSince }, page)), PAGE)
  for await (const rows of unused) {
    const ids = rows.map(({ id }) => id).filter((id) => !posted.has(id))
    const inRuns = ids.length === 0 ? [] : await repeatable(env, () => store.runs.referred(ids))
    const inCache = ids.length === 0 ? [] : await repeatable(env, () => cached(ids))
    const roots = new Set([...inRuns, ...inCache])
    for (const row of rows) {
      if (roots.has(row.id) || posted.has(row.id)) continue
      const isGone = dryRun || (await repeatable(env, () => artifacts.delete(row.id, { ifUnusedSince: unusedSince })))
      if (isGone) yield row
    }
  }
}
