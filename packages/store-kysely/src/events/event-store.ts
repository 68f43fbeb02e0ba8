import { StoreError, type AppendOptions, type AppendResult, type EventStore, type StoredEvent } from '@varve/store'
import type { CreatedRecord } from './append-queries.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import { claimOf } from '../runs/run-record.ts'
import type { RunsTable } from '../schema.ts'
import { runNotFound, settled, type StoreParts } from '../store-parts.ts'
import { additionOf, appendRefusal, checkAppend, creationOf } from './append-request.ts'
import { eventReader } from './event-reader.ts'

/** The logs. */
export function sqlEvents(parts: StoreParts): EventStore {
  const compared = comparedQuery(parts.dialect)
  return {
    append: (runId, events, options) =>
      options.run.create === undefined || options.expectedHead !== 0 || options.fencingToken !== 0
        ? append(parts, compared, runId, events, options)
        : create(parts, runId, events, options),
    read: eventReader(parts.executor, parts.dialect),
  }
}

/** One function down to the write: every step of a run waits for what lies between. */
async function append(
  parts: StoreParts,
  compared: Query<{ readonly runId: string }, Compared>,
  runId: string,
  events: readonly StoredEvent[],
  options: AppendOptions,
): Promise<AppendResult> {
  checkAppend(runId, events, options)
  const addition = additionOf(runId, events, options, parts.now())
  const misplacedCreate = options.run.create !== undefined
  let appended = misplacedCreate ? undefined : await parts.writes.append(addition)
  appended ??= await settled(runId, 'STORE_BUSY', async () => {
    const row = await parts.executor.get(compared, { runId })
    if (row === undefined) return runNotFound(runId)
    if (misplacedCreate) return runExists(runId)
    return appendRefusal(addition, row) ?? parts.writes.append(addition)
  })
  const { waiting, due_in: dueInMs = null } = appended
  const isFree = addition.shape.ended || (addition.shape.releases && waiting === 0)
  if (isFree) parts.changes?.committed({ runId, kind: 'moved', dueInMs })
  else parts.changes?.appended(runId)
  return { waiting }
}

async function create(
  parts: StoreParts,
  runId: string,
  events: readonly StoredEvent[],
  options: AppendOptions,
): Promise<AppendResult> {
  checkAppend(runId, events, options)
  const { create: creation } = options.run
  if (creation === undefined) throw runNotFound(runId)
  const record = await parts.writes.create(creationOf(runId, events, options, creation, parts.now()))
  if (record === undefined) throw runExists(runId)
  parts.changes?.committed({ runId, kind: 'moved', dueInMs: dueInOf(record) })
  const lease = options.release === true ? undefined : creation.lease
  return { waiting: 0, ...(lease && { claim: claimOf(record, lease.owner, record.created_at + lease.leaseMs) }) }
}

function runExists(runId: string): StoreError {
  return new StoreError('HEAD_CONFLICT', `run ${runId} exists; read it, or choose another id`, { runId })
}

type Compared = Pick<RunsTable, 'token' | 'lease_owner_id' | 'head' | 'waiting'>

const comparedQuery = perDialect((dialect): Query<{ readonly runId: string }, Compared> =>
  queryCompiler(dialect).read((p: Params<{ readonly runId: string }>) =>
    dialect.db
      .selectFrom('runs')
      .select(['token', 'lease_owner_id', 'head', 'waiting'])
      .where('run_id', '=', p.text('runId')),
  ),
)

/** When a run that was just created may be claimed. */
function dueInOf({ claim_at: claimAt, created_at: createdAt, lease_until: leaseUntil }: CreatedRecord): number | null {
  return claimAt === null || leaseUntil !== null ? null : Math.max(0, claimAt - createdAt)
}
