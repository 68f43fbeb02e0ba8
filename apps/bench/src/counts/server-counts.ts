import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

/** What a server has counted. */
export interface ServerCounts {
  /** Of transactions in one database. */
  readonly commits: number
  /** Of the whole server: others must leave it alone for the number to mean anything. */
  readonly walBytes: number
}

/** What happens in a database that is there for it alone. @param use - has closed all its connections when it is through. */
export async function serverCounts(url: string, use: (url: string) => Promise<void>): Promise<ServerCounts> {
  const database = `varve_bench_${randomUUID().replaceAll('-', '')}`
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const ask = async (sql: string): Promise<string> => {
    const { rows } = await admin.query<[unknown]>({ text: sql, rowMode: 'array' })
    return String(rows[0]?.[0])
  }
  await admin.query(`create database ${database}`)
  try {
    const before = await ask('select pg_current_wal_lsn()')
    await use(Object.assign(new URL(url), { pathname: `/${database}` }).href)
    const after = await ask(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '${before}')`)
    // Whoever served tells what it has counted when it leaves.
    while ((await ask(`select count(*) from pg_stat_activity where datname = '${database}'`)) !== '0') await delay(5)
    const commits = await ask(`select xact_commit from pg_stat_database where datname = '${database}'`)
    return { commits: Number(commits), walBytes: Number(after) }
  } finally {
    await admin.query(`drop database ${database} with (force)`)
    await admin.end()
  }
}
