import { sql, type RawBuilder } from 'kysely'
import type { SqlDdl, SqlLogs } from '../dialect.ts'

/** Each log has room for so many events less one, 2,147,483,647 of them, and a file for twice as many logs. */
const SEQ_BITS = 31
const ROOM = 2 ** SEQ_BITS

/** The key of an event: the number of its run, and behind it the seq. Null for a run that is not there. */
export function eventId(runId: RawBuilder<string>, seq: RawBuilder<number>): RawBuilder<number> {
  // A name of its own: the run may be that of a row of runs.
  const number = sql`(select its.number from runs as its where its.run_id = ${runId})`
  // The driver binds numbers as doubles: from the run 4,194,304 on their sum would be rounded.
  return sql`((${number} << ${sql.lit(SEQ_BITS)}) + cast(${seq} as integer))`
}

/**
 * A log lies in two tables, which the view `events` shows as one. What a run appends alone lies in one place, in the order of its events,
 * and needs no index: two pages for each step in place of three. Of many runs that share a commit each would need a page of its
 * own so: what they append lies in the order of time, with a small index.
 */
export const sqliteLogs: SqlLogs = {
  tables: ['lone_events', 'shared_events'],
  greatest: ROOM - 1,
  all: (runId) => sqliteLogs.some(runId, { from: sql.lit(0), to: sql.lit(ROOM - 1) }),
  some: (runId, { from, to }) => sql`(id between ${eventId(runId, from)} and ${eventId(runId, to)})`,
  one: (runId, seq) => sql`(id = ${eventId(runId, seq)})`,
  order: 'id',
}

/** The tables of {@link sqliteLogs} and their view, which has the number of the run and the seq for who reads the file by hand. */
export const sqliteLogTables: SqlDdl['logTables'] = ({ db }, declare) => {
  const shown = sqliteLogs.tables.map(
    (table) =>
      sql`select id, id >> ${sql.lit(SEQ_BITS)} as run, id & ${sql.lit(ROOM - 1)} as seq, v, type, at, body, hash from ${sql.id(table)}`,
  )
  return [
    declare('lone_events', (table) => table.addColumn('id', sql`integer`, (column) => column.primaryKey())),
    declare('shared_events', (table) =>
      table
        .addColumn('id', sql`integer`, (column) => column.notNull())
        .addUniqueConstraint('shared_events_key', ['id'] as never[]),
    ),
    { compile: () => sql`create view events as ${sql.join(shown, sql` union all `)}`.compile(db) },
  ]
}

/** The number of a run is none of those of the runs that are there. */
export const sqliteRunKey: SqlDdl['runKey'] = (table) =>
  table
    .addColumn('number', sql`integer`, (column) => column.primaryKey())
    .addUniqueConstraint('runs_key', ['run_id'] as never[])
    // Beyond it the next log begins.
    .addCheckConstraint('runs_head', sql`head < ${sql.lit(ROOM)}`)
