import type { SqlDialect } from '../dialect.ts'
import { oneQuery, pageQuery } from '../events/event-reader.ts'
import { inboxQueries } from '../inbox/inbox-queries.ts'
import type { Query, StoredStatement } from '../query.ts'
import { storedRunQueries } from '../runs/run-queries.ts'
import { snapshotQueries } from '../snapshots/snapshot-queries.ts'
import type { SharedQuery } from './shared-query.ts'
import { storedWrites } from './postgres-writes.ts'

/** The functions that a store of this release calls. */
export function storedStatements(dialect: SqlDialect, shared: SharedQuery): readonly StoredStatement[] {
  const queries: readonly Query<never, unknown>[] = [
    ...storedWrites(dialect),
    ...storedRunQueries(dialect),
    oneQuery(dialect),
    pageQuery(dialect),
    snapshotQueries(dialect).latest,
    inboxQueries(dialect).waiting,
    shared,
  ]
  return queries.flatMap((query) => query.stored ?? [])
}
