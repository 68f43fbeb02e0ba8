import type { Store } from '@varve/store'
import SQLite from 'better-sqlite3'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { sqliteDatabase } from '../plain/sqlite-database.ts'
import { cpuClock } from '../rounds/cpu-time.ts'
import { rowBody, type Site } from './site.ts'
import { openStore } from './store-location.ts'

/** The store in a SQLite file, next to other files in the same folder with the same settings. */
export async function sqliteSite(synchronous: 'FULL' | 'NORMAL'): Promise<Site> {
  // On the disk of the current folder: a temporary folder may lie in memory, where a flush costs nothing.
  const parent = path.resolve('.varve')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(path.join(parent, 'bench-'))
  const raw = new SQLite(path.join(folder, 'raw.sqlite'))
  raw.pragma('journal_mode = wal')
  raw.pragma(`synchronous = ${synchronous}`)
  raw.exec('create table rows (seq integer primary key, body text not null)')
  const insert = raw.prepare('insert into rows (body) values (?)')
  const location = { kind: 'sqlite', path: path.join(folder, 'store.sqlite'), synchronous } as const
  const store = await openStore(location)
  const others: Store[] = []
  const plain = sqliteDatabase(path.join(folder, 'plain.sqlite'), synchronous)
  return {
    ...{ store, plain, location, cpuMs: cpuClock() },
    commitRows: async (rows) => {
      for (let row = 0; row < rows; row++) {
        insert.run(rowBody)
        await Promise.resolve()
      }
    },
    another: async () => {
      const more = await openStore({ ...location, path: path.join(folder, `store-${others.length + 1}.sqlite`) })
      others.push(more)
      return more
    },
    close: async () => {
      for (const each of others) await each[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await plain.close()
      raw.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
