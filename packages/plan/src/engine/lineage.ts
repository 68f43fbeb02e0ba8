import type { ArtifactRef } from '@varve/kernel'
import { allItems, type ContentId } from '@varve/store'
import { artifactOf, resultOf, type ItemRecord } from '../view/run-record.ts'
import type { ListEntry, RunRequest } from '../schedule/requests.ts'
import type { EngineParts } from './parts.ts'
import { isPlanError } from '../errors.ts'
import { readRecord } from './pinned-run.ts'

/** An execution that made an artifact, or took it over. */
export interface ArtifactOrigin {
  readonly runId: string
  /** The state's id; with the item's key for one of a map. */
  readonly key: string
  /** Seq of the event that recorded it. */
  readonly seq: number
  /** `made`: executed here. `cached`, `reused`: taken over. */
  readonly how: 'made' | 'cached' | 'reused'
  /** What it was made from, by the names that the state knows it under; of a list, by the keys of its items. */
  readonly inputs: Readonly<Record<string, ContentId | null>>
}

/** Finds the executions that an artifact is the output of, those of the newest runs first. */
export async function* artifactOrigins(
  parts: Pick<EngineParts, 'kernel'>,
  artifact: ContentId,
): AsyncGenerator<ArtifactOrigin, void, undefined> {
  for await (const { runId } of allItems((page) => parts.kernel.list({ artifact }, page))) {
    yield* originsIn(parts, runId, artifact)
  }
}

async function* originsIn(parts: Pick<EngineParts, 'kernel'>, runId: string, artifact: ContentId) {
  const record = await readRecord(parts, runId).catch((error: unknown) => {
    // Removed since it was listed.
    if (isPlanError(error, 'RUN_NOT_FOUND')) return undefined
    throw error
  })
  for (const item of record?.items.values() ?? []) {
    if (artifactOf(item)?.$artifact === artifact) yield originOf(runId, item, record?.items ?? new Map())
  }
}

function originOf(runId: string, item: ItemRecord, items: ReadonlyMap<string, ItemRecord>): ArtifactOrigin {
  const { needs = {} } = item.input as unknown as Partial<RunRequest>
  const entries = entriesOf(item, items)
  const inputs = Object.fromEntries([
    ...Object.entries(needs).map(([name, ref]) => [name, ref?.$artifact ?? null] as const),
    ...entries.map(({ key, output }) => [key, output.$artifact] as const),
  ])
  const taken = resultOf(item)?.cache?.from === undefined ? 'made' : 'cached'
  return { runId, key: item.key, seq: item.closedSeq as number, how: item.reused ? 'reused' : taken, inputs }
}

/** What an artifact lists: its request says so, or, of one that joins pages, the requests of these do. */
function entriesOf({ input }: ItemRecord, items: ReadonlyMap<string, ItemRecord>): readonly ListEntry[] {
  const { entries = [], pages = [] } = input as unknown as {
    readonly entries?: readonly ListEntry[]
    readonly pages?: readonly ArtifactRef[]
  }
  if (pages.length === 0) return entries
  const made = new Map([...items.values()].map((item) => [artifactOf(item)?.$artifact, item]))
  return pages.flatMap(({ $artifact }) => {
    const page = made.get($artifact)
    return page === undefined ? [] : entriesOf(page, items)
  })
}
