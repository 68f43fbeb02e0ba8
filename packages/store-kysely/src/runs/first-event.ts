import type { StoredEvent } from '@varve/store'
import { sql } from 'kysely'
import { eventColumns, type EventRecord } from '../events/event-reader.ts'
import { perDialect, queryCompiler, type Params, type Query, type StoredColumns } from '../query.ts'
import type { RunsTable } from '../schema.ts'
import { runColumn } from './run-columns.ts'

/** Longer bodies are read one by one, in bytes: a claim must not hold those of a thousand runs. */
const LONGEST_BODY = 8192

/** True for first events that a claim tells of its runs, by the name of their table. */
export function isTold(events: string) {
  return sql<boolean>`(octet_length(${sql.id(events)}.body) <= ${sql.lit(LONGEST_BODY)})`
}

/** The event of a run that has one alone, beside its row; null for the others. */
export interface FirstRecord {
  readonly first_v: number | null
  readonly first_type: string | null
  readonly first_at: number | null
  readonly first_body: string | null
  readonly first_hash: string | null
}

/** The columns of {@link FirstRecord} of an event under this name. */
export const firstColumns = [
  'first.v as first_v',
  'first.type as first_type',
  'first.at as first_at',
  'first.body as first_body',
  'first.hash as first_hash',
] as const

/** Their types, in their order. */
export const firstTypes: StoredColumns<FirstRecord> = {
  first_v: eventColumns.v,
  first_type: eventColumns.type,
  first_at: eventColumns.at,
  first_body: eventColumns.body,
  first_hash: eventColumns.hash,
}

/** The event as the log has it. */
export function firstOf({
  run_id: runId,
  ...record
}: FirstRecord & { readonly run_id: string }): StoredEvent | undefined {
  const { first_v: v, first_type: type, first_at: at, first_body: body, first_hash: hash } = record
  if (v === null || type === null || at === null || body === null || hash === null) return undefined
  return { runId, seq: 1, v, type, at, body, hash }
}

/** The first event of a run. */
type StoredFirst = EventRecord & Pick<RunsTable, 'run_id'>

/** The first events of the given runs, unless they are long. */
export const firstsQuery = perDialect((dialect): Query<{ readonly runIds: unknown }, StoredFirst> => {
  return queryCompiler(dialect).read((p: Params<{ readonly runIds: unknown }>) =>
    dialect.db
      .selectFrom('runs')
      .innerJoin('events', (join) => join.on(dialect.logs.one(runColumn('run_id'), sql.lit(1))))
      .select(['runs.run_id', 'seq', 'v', 'type', 'at', 'body', 'hash'])
      .where(p.textIn(runColumn('run_id'), 'runIds'))
      .where(isTold('events')),
  )
})
