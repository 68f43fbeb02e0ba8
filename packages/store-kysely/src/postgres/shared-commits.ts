import { isStoreError, type Snapshot } from '@varve/store'
import type { SharedAnswer, SharedCommits, SharedWrite } from '../commits/shared-write.ts'
import type { CreatedRecord } from '../events/append-queries.ts'
import type { SqlExecutor } from '../executor.ts'
import type { Addition, Creation } from '../writes.ts'
import {
  additionColumns,
  arrivalColumns,
  referenceColumns,
  snapshotColumns,
  tagColumns,
  type SharedQuery,
  type SharedRecord,
} from './shared-query.ts'
import { loggedColumns, pack, type SentArgs } from './sent-rows.ts'

/** Longer than a commit takes on a disk or a network that is slow. */
const PATIENCE_MS = 50

/**
 * One statement for the writes of many runs, with the lists of what they write.
 *
 * It passes over runs that somebody else has locked, so it never waits while it holds a lock, except for others that create the
 * same run; and all create in the order of the ids. Whoever has no answer, for whatever reason, is told that it was passed over:
 * alone it learns why. So are all, when the database gives the statement up: a time ran out, or somebody had to give way.
 */
export function sharedCommits(executor: SqlExecutor, query: SharedQuery): SharedCommits {
  return {
    lanes: 2,
    patienceMs: PATIENCE_MS,
    // A post may settle only what waits once the row is locked: that takes a statement of its own.
    accepts: (write) => write.kind !== 'prune' && (write.kind !== 'append' || write.addition.posts.length === 0),
    commit: async (batch) => {
      try {
        return answersOf(batch, await executor.all(query, argsOf(batch)))
      } catch (error) {
        // Rolled back for certain, and most often for one of them: for which, nobody says.
        if (isStoreError(error, 'STORE_BUSY')) return batch.map(() => 'locked')
        throw error
      }
    },
  }
}

function argsOf(batch: readonly SharedWrite[]): SentArgs {
  const creations: Creation[] = []
  const additions: Addition[] = []
  const snapshots: Snapshot[] = []
  for (const write of batch) {
    if (write.kind === 'create') creations.push(write.creation)
    else if (write.kind === 'append') additions.push(write.addition)
    else if (write.kind === 'snapshot') snapshots.push(write.snapshot)
  }
  const changes = [...creations, ...additions]
  const events = changes.flatMap((change) => change.events)
  const tags = creations.flatMap(({ run: { runId }, tags }) => tags.map((tag) => ({ runId, tag })))
  const artifacts = changes.flatMap(({ run: { runId }, artifacts }) =>
    artifacts.map((artifact) => ({ runId, artifact })),
  )
  const args: Record<string, string> = {}
  pack(args, 'arriving', arrivalColumns, creations)
  pack(args, 'adding', additionColumns, additions)
  pack(args, 'event', loggedColumns, events)
  pack(args, 'saving', snapshotColumns, snapshots)
  pack(args, 'tag', tagColumns, tags)
  pack(args, 'reference', referenceColumns, artifacts)
  return args
}

function answersOf(batch: readonly SharedWrite[], records: readonly SharedRecord[]): readonly SharedAnswer[] {
  const made = {
    create: new Map<string, SharedRecord>(),
    append: new Map<string, SharedRecord>(),
    snapshot: new Set<string>(),
  }
  for (const record of records) {
    if (record.kind === 'snapshot') made.snapshot.add(record.run_id)
    else made[record.kind].set(record.run_id, record)
  }
  return batch.map((write): SharedAnswer => {
    switch (write.kind) {
      case 'create': {
        const record = made.create.get(write.creation.run.runId)
        return record === undefined ? 'locked' : createdRecord(write.creation, record)
      }
      case 'append': {
        const record = made.append.get(write.addition.run.runId)
        return record === undefined ? 'locked' : { waiting: record.waiting, due_in: record.due_in }
      }
      case 'snapshot':
        return made.snapshot.has(write.snapshot.runId) || 'locked'
      case 'prune':
        return 'locked'
    }
  })
}

/** The row that was made: what was asked for, at the time of the database. */
function createdRecord({ run }: Creation, { created_at, claim_at, lease_until }: SharedRecord): CreatedRecord {
  return {
    run_id: run.runId,
    workflow: run.workflow,
    version: run.version,
    queue: run.queue,
    token: run.token,
    head: run.head,
    status: run.status,
    waiting: 0,
    recoveries: 0,
    owes: run.owes,
    problem: null,
    lease_until,
    created_at: created_at ?? 0,
    claim_at,
  }
}
