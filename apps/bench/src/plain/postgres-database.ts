import type { StoredEvent } from '@varve/store'
import pg from 'pg'
import { conflict, headAfter, type PlainAppend, type PlainClaim, type PlainDatabase } from './plain-database.ts'

const LANES = 2

/** Runs in a schema of a Postgres database: named statements, one for each commit, on connections that stay. */
export async function postgresDatabase(url: string, schema: string): Promise<PlainDatabase> {
  const { query, close } = await connect(url)
  await query({ text: schemaOf(schema) })
  const statements = statementsOf(schema)

  const commitOne = async (append: PlainAppend): Promise<void> => {
    const statement = append.expectedHead === 0 ? statements.make : statements.move
    const { rowCount } = await query(statement, valuesOf(append))
    if (rowCount !== append.events.length) throw conflict([append])
  }
  const commitAll = async (appends: readonly PlainAppend[]): Promise<void> => {
    const events = appends.flatMap((append) => append.events)
    const { rowCount } = await query(statements.commitAll, columnsOf(appends, events))
    if (rowCount !== events.length) throw conflict(appends)
  }
  return {
    grouping: { lanes: LANES, batch: 250 },
    commit: async (appends) => {
      const [append] = appends
      await (append !== undefined && appends.length === 1 && append.events.length === 2
        ? commitOne(append)
        : commitAll(appends))
    },
    announce: async (append) => {
      const { rowCount } = await query(statements.announce, valuesOf(append))
      if (rowCount !== 1) throw conflict([append])
    },
    listen: (listener) => listenTo(url, schema, listener),
    read: async (runId, from, limit) => (await query<StoredEvent>(statements.read, [runId, from, limit])).rows,
    acquire: async (runId) => {
      const [claim] = (await query<PlainClaim>(statements.acquire, [runId])).rows
      if (claim === undefined) throw new Error(`there is no run ${runId}`)
      return claim
    },
    close,
  }
}

interface Connections {
  readonly query: <Row extends pg.QueryResultRow>(
    statement: pg.QueryConfig,
    values?: readonly unknown[],
  ) => Promise<pg.QueryResult<Row>>
  readonly close: () => Promise<void>
}

/** A connection for each lane. Whoever asks for more at once waits in the queue of the first. */
async function connect(url: string): Promise<Connections> {
  const open = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url })
    // Numbers of events and times are small enough for a double.
    client.setTypeParser(pg.types.builtins.INT8, Number)
    await client.connect()
    return client
  }
  const first = await open()
  const clients = [first, ...(await Promise.all(Array.from({ length: LANES - 1 }, open)))]
  const idle = [...clients]
  return {
    query: async <Row extends pg.QueryResultRow>(statement: pg.QueryConfig, values: readonly unknown[] = []) => {
      const client = idle.pop()
      try {
        const query = values.length === 0 ? statement : { ...statement, values: [...values] }
        return await (client ?? first).query<Row>(query)
      } finally {
        if (client !== undefined) idle.push(client)
      }
    },
    close: async () => {
      for (const client of clients) await client.end()
    },
  }
}

/** A connection of its own that hears of announced runs. */
async function listenTo(url: string, channel: string, listener: (runId: string) => void): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  client.on('notification', ({ payload = '' }) => {
    listener(payload)
  })
  await client.query(`listen ${channel}`)
  return () => client.end()
}

/** What the statements for one run of two events are given. */
function valuesOf(append: PlainAppend): readonly unknown[] {
  const { runId, expectedHead, token, status, events } = append
  const rows = events.flatMap(({ seq, v, type, at, body, hash }) => [seq, v, type, at, body, hash])
  return [runId, expectedHead, headAfter(append), token, status, ...rows]
}

function columnsOf(appends: readonly PlainAppend[], events: readonly StoredEvent[]): readonly unknown[] {
  const column = <Row, Value>(rows: readonly Row[], valueOf: (row: Row) => Value): readonly Value[] => rows.map(valueOf)
  return [
    column(appends, ({ runId }) => runId),
    column(appends, ({ expectedHead }) => expectedHead),
    column(appends, headAfter),
    column(appends, ({ token }) => token),
    column(appends, ({ status }) => status),
    column(events, ({ runId }) => runId),
    column(events, ({ seq }) => seq),
    column(events, ({ v }) => v),
    column(events, ({ type }) => type),
    column(events, ({ at }) => at),
    column(events, ({ body }) => body),
    column(events, ({ hash }) => hash),
  ]
}

function schemaOf(schema: string): string {
  return `
    create schema if not exists ${schema};
    create table if not exists ${schema}.runs (
      id text primary key, head bigint not null, token bigint not null, status text not null
    ) with (fillfactor = 70);
    create table if not exists ${schema}.events (
      run_id text not null, seq bigint not null, v int not null, type text not null, at bigint not null,
      body text not null, hash text not null, primary key (run_id, seq)
    );`
}

function statementsOf(schema: string) {
  const two = `(values ($6::bigint, $7::int, $8::text, $9::bigint, $10::text, $11::text),
                       ($12, $13, $14, $15, $16, $17))`
  const commitAll = `
    with given as materialized (
      select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
        as given (id, expected, head, token, status)
    ), made as (
      insert into ${schema}.runs select id, head, token, status from given where expected = 0
      on conflict do nothing returning id
    ), moved as (
      update ${schema}.runs as run set head = given.head, status = given.status from given
      where given.expected > 0 and run.id = given.id and run.head = given.expected and run.token = given.token
      returning run.id
    )
    insert into ${schema}.events
    select event.* from unnest($6::text[], $7::bigint[], $8::int[], $9::text[], $10::bigint[], $11::text[], $12::text[])
      as event (run_id, seq, v, type, at, body, hash)
    where run_id in (select id from made union all select id from moved)`
  const make = `with made as (
      insert into ${schema}.runs select $1, $3::bigint, $4::bigint, $5 where $2::bigint = 0
      on conflict do nothing returning id
    )`
  const write = `insert into ${schema}.events select made.id, event.* from made, ${two} as event`
  return {
    make: { name: 'make', text: `${make} ${write}` },
    announce: {
      name: 'announce',
      text: `${make}, written as (${write} returning run_id, seq)
        select pg_notify('${schema}', run_id) from written where seq = 1`,
    },
    move: {
      name: 'move',
      text: `with moved as (
          update ${schema}.runs set head = $3, status = $5 where id = $1 and head = $2 and token = $4 returning id
        ) insert into ${schema}.events select moved.id, event.* from moved, ${two} as event`,
    },
    commitAll: { name: 'commit-all', text: commitAll },
    read: {
      name: 'read',
      text: `select run_id as "runId", seq, v, type, at, body, hash from ${schema}.events
        where run_id = $1 and seq >= $2 order by seq limit $3`,
    },
    acquire: {
      name: 'acquire',
      text: `update ${schema}.runs set token = token + 1 where id = $1 returning id as "runId", token`,
    },
  }
}
