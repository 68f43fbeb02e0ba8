import { checkId, type CacheEntry, type ContentId } from '@varve/store'
import { PlanError } from '../errors.ts'
import type { EngineParts } from './parts.ts'

const GROUP = 'pin'

/** A name that keeps artifacts from being collected. */
export interface Pin {
  readonly name: string
  readonly artifacts: readonly ContentId[]
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** True for an entry that is a pin. */
export function isPin({ group }: Pick<CacheEntry, 'group'>): boolean {
  return group === GROUP
}

/** Keeps artifacts until the pin is taken out. A name that is taken stays as it is. */
export async function pinArtifacts(
  { store, artifacts }: Pick<EngineParts, 'store' | 'artifacts'>,
  name: string,
  ids: readonly ContentId[],
): Promise<Pin> {
  checkId('the key of a pin', keyOf(name))
  // Used now, so that they stay until the pin is there.
  const there = await artifacts.touch(ids)
  const missing = ids.find((id) => !there.includes(id))
  if (missing !== undefined) {
    throw new PlanError('NO_OUTPUT', `there is no artifact ${missing} to pin; pin artifacts that are kept`, {
      details: { artifact: missing },
    })
  }
  const entry = await store.cache.putIfAbsent({ key: keyOf(name), group: GROUP, artifacts: ids, body: { name } })
  return { name, artifacts: entry.artifacts, createdAt: entry.createdAt }
}

/** @returns false when there is no such pin. */
export async function unpinArtifacts({ store }: Pick<EngineParts, 'store'>, name: string): Promise<boolean> {
  return store.cache.delete(keyOf(name))
}

function keyOf(name: string): string {
  return `pin:${name}`
}
