import { isArtifactRef } from '@varve/kernel'
import type { ContentId, Json } from '@varve/store'
import type { ItemRecord } from './run-record.ts'

/** The artifacts that the result of an item names, each once, in the order in which they stand there. */
export function artifactsMade({ output = null }: Pick<ItemRecord, 'output'>): readonly ContentId[] {
  const found = new Set<ContentId>()
  // A list that grows while it is gone through: results may nest as deep as they like.
  const values: Json[] = [output]
  for (const value of values) {
    if (typeof value !== 'object' || value === null) continue
    if (isArtifactRef(value)) found.add(value.$artifact)
    else values.push(...Object.values(value as Readonly<Record<string, Json>>))
  }
  return [...found]
}
