import type { ContentId } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { APPEND_ARTIFACTS } from './artifacts-in.ts'

/**
 * Says of artifacts that are passed on to a run that they are used now, before anything refers to them there: the run whose they
 * were may be gone, and a sweep about to delete them.
 */
export async function touchArtifacts(
  env: Pick<Environment, 'artifacts' | 'clock'>,
  ids: readonly ContentId[],
): Promise<void> {
  for (let from = 0; from < ids.length; from += APPEND_ARTIFACTS) {
    await repeatable(env, () => env.artifacts.touch(ids.slice(from, from + APPEND_ARTIFACTS)))
  }
}
