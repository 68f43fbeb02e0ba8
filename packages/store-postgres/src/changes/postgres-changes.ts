import { sha256 } from '@varve/store'
import type { RemoteChanges } from '@varve/store-kysely'
import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PostgresLocation, PostgresPool } from '../pool.ts'
import { ownEars, pooledEars } from './ears.ts'
import { ListenConnection, type OpenEar } from './listen-connection.ts'
import { Notifier } from './notifier.ts'
import { anything, changesIn, entryOf } from './payload.ts'

/** Notifications of one store, and how to end them when its last call has its answer. */
export interface PostgresChanges extends RemoteChanges {
  readonly close: () => Promise<void>
}

/** What notifications need. */
export interface ChangesOptions {
  readonly location: PostgresLocation
  readonly pool: PostgresPool
  readonly schema: string
  /** Where to listen, if not where the store is. */
  readonly url?: string | undefined
}

/** Tells the other stores on the same schema of commits, and hears theirs, with NOTIFY and LISTEN. */
export async function postgresChanges({ location, pool, schema, url }: ChangesOptions): Promise<PostgresChanges> {
  const channel = `varve_${sha256(`varve changes ${schema}`).slice(0, 16)}`
  const self = randomBytes(6).toString('base64url')
  const notifier = new Notifier(pool, channel, self)
  const open = await earsFor(location, url)
  return {
    tell: (change) => notifier.send(entryOf(change)),
    listen: (hear) => {
      const connection = new ListenConnection(open, channel, (payload) => {
        for (const change of payload === undefined ? anything : changesIn(payload, self)) hear(change)
      })
      return async () => connection.close()
    },
    close: async () => {
      // The calls that have just had their answers tell what they changed.
      await nextTurn()
      await notifier.close()
    },
  }
}

async function earsFor(location: PostgresLocation, url: string | undefined): Promise<OpenEar> {
  if (url !== undefined) return ownEars(url)
  return 'url' in location ? ownEars(location.url) : pooledEars(location.pool)
}
