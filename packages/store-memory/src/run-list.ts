import {
  checkRunFilter,
  pageOf,
  readCursor,
  type Page,
  type PageRequest,
  type RunFilter,
  type RunRow,
} from '@varve/store'
import { byId } from './id-order.ts'
import type { Memory } from './memory.ts'
import { rowOf, type RunRecord } from './run-record.ts'

/** Where something stands in a list, newest first; what is new comes before all of these, so it shifts none. */
export type Position = readonly [createdAt: number, id: string]

/** One page of the runs that match, newest first. */
export function listRuns(memory: Memory, filter: RunFilter, page: PageRequest): Page<RunRow> {
  memory.checkOpen()
  checkRunFilter(filter, page)
  const after = page.cursor === undefined ? undefined : readCursor(page.cursor, isPosition)
  const { createdFrom = -Infinity, createdBefore = Infinity } = filter
  const before: Position = after === undefined || after[0] >= createdBefore ? [createdBefore, ''] : after
  const found: RunRecord[] = []
  for (const runs of memory.index.among(filter, before)) {
    // One more than asked for tells whether there is a next page.
    let room = page.limit + 1
    for (const run of runs) {
      if (run.createdAt < createdFrom) break
      if (!matches(run, filter)) continue
      found.push(run)
      if (--room === 0) break
    }
  }
  found.sort((a, b) => newestFirst(positionOf(a), positionOf(b)))
  return pageOf(found, page.limit, rowOf, positionOf)
}

function matches(run: RunRecord, filter: RunFilter): boolean {
  const { workflow, version, statuses, tags, parent, artifact, parked, owing, leased } = filter
  const { endedBefore } = filter
  return (
    (workflow === undefined || run.creation.workflow === workflow) &&
    (version === undefined || run.version === version) &&
    (statuses === undefined || statuses.includes(run.status)) &&
    (tags === undefined || tags.every((tag) => run.creation.tags.includes(tag))) &&
    (parent === undefined || run.creation.parent === parent) &&
    (artifact === undefined || run.artifacts.has(artifact)) &&
    (parked === undefined || (run.problem !== undefined) === parked) &&
    (owing === undefined || run.owes.length > 0 === owing) &&
    (leased === undefined || (run.lease !== undefined) === leased) &&
    (endedBefore === undefined || (run.endedAt ?? Infinity) < endedBefore)
  )
}

function positionOf(run: RunRecord): Position {
  return [run.createdAt, run.runId]
}

/** Orders by instant, then by id. */
export function newestFirst([aAt, aId]: Position, [bAt, bId]: Position): number {
  return bAt - aAt || byId(bId, aId)
}

/** True for what a page may have given as its end. */
export function isPosition(value: unknown): value is Position {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'number' && typeof value[1] === 'string'
}
