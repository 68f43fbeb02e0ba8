import type { StoredEvent } from '@varve/store'
import SQLite from 'better-sqlite3'
import { announcing } from './announcing.ts'
import { conflict, headAfter, type PlainAppend, type PlainClaim, type PlainDatabase } from './plain-database.ts'

// Bodies lie in the order in which they are written: a table without row ids is half as fast, for run ids are random.
const SCHEMA = `
  create table runs (
    id text primary key, head integer not null, token integer not null, status text not null
  ) without rowid;
  create table events (
    run_id text not null, seq integer not null, v integer not null, type text not null, at integer not null,
    body text not null, hash text not null, primary key (run_id, seq)
  );`

/** Runs in a SQLite file: prepared statements, and one transaction for each commit. */
export function sqliteDatabase(path: string, synchronous: 'FULL' | 'NORMAL'): PlainDatabase {
  const database = new SQLite(path)
  database.pragma('journal_mode = wal')
  database.pragma(`synchronous = ${synchronous}`)
  database.exec(SCHEMA)
  const make = database.prepare('insert into runs values (?, ?, ?, ?) on conflict do nothing')
  const move = database.prepare('update runs set head = ?, status = ? where id = ? and head = ? and token = ?')
  const insert = database.prepare('insert into events values (?, ?, ?, ?, ?, ?, ?)')
  const page = database.prepare<[string, number, number], StoredEvent>(
    'select run_id as runId, seq, v, type, at, body, hash from events where run_id = ? and seq >= ? order by seq limit ?',
  )
  const take = database.prepare<[string], PlainClaim>(
    'update runs set token = token + 1 where id = ? returning id as runId, token',
  )
  const write = (append: PlainAppend): void => {
    const { runId, expectedHead, token, status, events } = append
    const { changes } =
      expectedHead === 0
        ? make.run(runId, events.length, token, status)
        : move.run(headAfter(append), status, runId, expectedHead, token)
    if (changes !== 1) throw conflict([append])
    for (const { seq, v, type, at, body, hash } of events) insert.run(runId, seq, v, type, at, body, hash)
  }
  const transaction = database.transaction((appends: readonly PlainAppend[]) => {
    for (const append of appends) write(append)
  })
  const commit = async (appends: readonly PlainAppend[]): Promise<void> => transaction.immediate(appends)
  return {
    grouping: { lanes: 1, batch: 1_000 },
    ...announcing(commit),
    commit,
    read: async (runId, from, limit) => page.all(runId, from, limit),
    acquire: async (runId) => {
      const claim = take.get(runId)
      if (claim === undefined) throw new Error(`there is no run ${runId}`)
      return claim
    },
    close: async () => void database.close(),
  }
}
