import type { Store } from '@varve/store'
import { createTestClock, type Harness } from '@varve/store-contract'
import SQLite from 'better-sqlite3'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sqliteStore } from '../sqlite-store.ts'
import { forgetful } from './forgetful-database.ts'

/** Stores on one file in a folder of its own; in other processes they wait so long for each other. */
export async function fileHarness(busyTimeoutMs = 10_000): Promise<Harness> {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'runs.sqlite')
  const clock = createTestClock()
  const databases: SQLite.Database[] = []
  let forgets = false
  const forget = (): boolean => {
    const now = forgets
    forgets = false
    return now
  }
  return {
    clock,
    child: { module: import.meta.filename, export: 'openInChild', args: { path: file, busyTimeoutMs } },
    open: async () => {
      const database = new SQLite(file, { timeout: 0 })
      databases.push(database)
      return sqliteStore({ database: forgetful(database, forget) }, { now: clock.now, synchronous: 'NORMAL' })
    },
    loseNextAnswer: () => {
      forgets = true
    },
    corruptArtifact: async (id) => {
      const database = new SQLite(file)
      const first = 'number = 0 and upload = (select upload from artifacts where id = ?)'
      const bytes = database.prepare(`select bytes from artifact_chunks where ${first}`).pluck().get(id) as Buffer
      bytes.set([(bytes[0] ?? 0) ^ 1])
      database.prepare(`update artifact_chunks set bytes = ? where ${first}`).run(bytes, id)
      database.close()
    },
    destroy: async () => {
      for (const database of databases) database.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** A store in memory, alone. */
export async function memoryHarness(): Promise<Harness> {
  const clock = createTestClock()
  return {
    clock,
    open: async () => sqliteStore({ path: ':memory:' }, { now: clock.now }),
    destroy: async () => undefined,
  }
}

/**
 * Opens the file of a harness in another process, which imports this module by its path.
 *
 * @public
 */
export async function openInChild({ path, busyTimeoutMs }: ChildLocation): Promise<Store> {
  return sqliteStore({ path }, { synchronous: 'NORMAL', busyTimeoutMs })
}

interface ChildLocation {
  readonly path: string
  readonly busyTimeoutMs: number
}

/** A new folder; whoever asks for it deletes it. */
export async function temporaryFolder(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), 'varve-sqlite-'))
}
