import type {} from '../../../test/postgres/global-setup.ts'
import {
  chainHash,
  contentId,
  EVENT_FORMAT,
  genesis,
  isStoreError,
  type LogEnd,
  type RunUpdate,
  type Store,
  type StoredEvent,
} from '@varve/store'
import { sampleEvents } from '@varve/store-contract'
import { describe, expect, inject, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'
import { forgetful } from './testing/forgetful-pool.ts'
import { observed } from './testing/observed-pool.ts'
import { schemaPool } from './testing/schema-pool.ts'

const MIB = 1024 * 1024
const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const running: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }
const create = { workflow: 'w', version: '1', tags: ['t'], queue: 'q', lease: { owner, leaseMs: 60_000 } }
const creating = { expectedHead: 0, fencingToken: 0, run: { ...running, create } }

let schema = ''
const pool = schemaPool(inject('pgUrl'), (name) => {
  schema = name
})

/** Events of these bodies, behind the end of a log. */
function eventsOf(texts: readonly string[], end: LogEnd = genesis('run-1')): readonly StoredEvent[] {
  let last = end
  return texts.map((body) => {
    const event = { v: EVENT_FORMAT, seq: last.seq + 1, type: 'Sampled', at: 1_600_000_000_000, body }
    const stored = { runId: 'run-1', ...event, hash: chainHash(last.hash, event) }
    last = stored
    return stored
  })
}

const bodyOf = (mebibytes: number): string => JSON.stringify('a'.repeat(mebibytes * MIB - 2))
/** So many MiB in bodies of one each. */
const bodies = (mebibytes: number): readonly string[] => new Array<string>(mebibytes).fill(bodyOf(1))

/** A store, the first word of each statement that it has sent since it was opened, and what is called before each of them. */
async function listened(before: (text: string) => unknown = () => undefined) {
  const words: string[] = []
  let isOpen = false
  const seen = observed(pool, () => async (text, execute) => {
    words.push(/^\w+/.exec(text)?.[0] ?? '')
    if (isOpen) await before(text)
    return execute()
  })
  const store = await postgresStore({ pool: seen }, { schema, notifications: false })
  words.length = 0
  isOpen = true
  return { store, words }
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'done',
    (error: unknown) => (isStoreError(error) ? error.code : `no store error: ${String(error)}`),
  )
}

/** Whether the log is these events, byte for byte. */
async function holds(store: Store, events: readonly StoredEvent[]): Promise<boolean> {
  let same = 0
  for await (const { body, hash } of store.events.read('run-1')) {
    const event = events[same]
    if (event?.body !== body || event.hash !== hash) return false
    same += 1
  }
  return same === events.length && (await store.runs.find('run-1'))?.head === same
}

describe('the events of one append', () => {
  test('are one statement up to 8 MiB, and several in one transaction beyond', async () => {
    const { store, words } = await listened()
    const first = eventsOf(bodies(8))
    const others = eventsOf(bodies(32), first.at(-1))

    await store.events.append('run-1', first, creating)
    const ofFirst = words.splice(0)
    await store.events.append('run-1', others, { expectedHead: 8, fencingToken: 1, run: running })
    const ofOthers = words.splice(0)

    expect(ofFirst).toEqual(['select'])
    // One with the row, the other 31 in parts of 8, 8, 8 and 7.
    expect(ofOthers).toEqual(['begin', 'with', 'insert', 'insert', 'insert', 'insert', 'commit'])
    expect(await holds(store, [...first, ...others])).toBe(true)
  })

  test('may create a run in several statements, with its tags, references and lease', async () => {
    const { store, words } = await listened()
    const events = eventsOf(bodies(20))
    const artifact = contentId(new Uint8Array(1))

    const run = { ...running, create, artifacts: [artifact] }
    const { claim } = await store.events.append('run-1', events, { ...creating, run })

    expect(words.splice(0)).toEqual(['begin', 'with', 'insert', 'insert', 'insert', 'commit'])
    expect(claim).toMatchObject({ token: 1, owner: { id: 'a' } })
    expect((await store.runs.list({ tags: ['t'] }, { limit: 9 })).items).toHaveLength(1)
    expect(await store.runs.referred([artifact])).toEqual([artifact])
    expect(await holds(store, events)).toBe(true)
  })

  test('are kept byte for byte in parts, whatever is in them, and take and reject posts', async () => {
    const { store } = await listened()
    const first = sampleEvents('run-1', 1)
    await store.events.append('run-1', first, creating)
    for (const id of ['p', 'q']) await store.inbox.post('run-1', { id, type: 'T', body: '{}' }, { maxWaiting: 9 })
    const odd = ['', '\u001f', '\u001e', 'a\u001fb', '"\\{,}"', 'NULL', '\n', '漢', '']
    const given = eventsOf([...odd, bodyOf(7), ...odd, bodyOf(9), ...odd, bodyOf(2)], first.at(-1))

    const reject = [{ id: 'q', error: '{"no":1}' }]
    const options = { expectedHead: 1, fencingToken: 1, run: running, take: ['p'], reject }
    expect(await store.events.append('run-1', given, options)).toEqual({ waiting: 0 })

    expect(await holds(store, [...first, ...given])).toBe(true)
    expect((await store.inbox.rejected('run-1', { limit: 9 })).items).toMatchObject([{ id: 'q' }])
  })
})

describe('an append in several statements', () => {
  test('is refused as one in a single statement is, and writes nothing then', async () => {
    const { store, words } = await listened()
    const first = sampleEvents('run-1', 1)
    await store.events.append('run-1', first, creating)
    await store.inbox.post('run-1', { id: 'p', type: 'T', body: '{}' }, { maxWaiting: 9 })
    const behind = eventsOf(bodies(9), first[0])
    const append = { expectedHead: 1, fencingToken: 1, run: running }
    words.length = 0

    const codes = [
      await codeOf(store.events.append('run-1', eventsOf(bodies(9)), creating)),
      await codeOf(store.events.append('run-1', behind, { ...append, fencingToken: 2 })),
      await codeOf(store.events.append('run-1', eventsOf(bodies(9), behind[0]), { ...append, expectedHead: 2 })),
      await codeOf(store.events.append('run-1', behind, { ...append, run: { ...running, status: 'completed' } })),
    ]

    expect(codes).toEqual(['HEAD_CONFLICT', 'FENCED', 'HEAD_CONFLICT', 'INBOX_PENDING'])
    expect(words).not.toContain('insert')
    expect(await holds(store, first)).toBe(true)
  })

  test('did not happen when its connection is ended before the commit', async () => {
    let parts = 0
    const { store } = await listened(async (text) => {
      if (text.startsWith('insert') && ++parts === 2) await endTransactions()
    })
    const events = eventsOf(bodies(20))

    const error: unknown = await store.events.append('run-1', events, creating).catch((reason: unknown) => reason)

    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true })
    expect(await store.runs.find('run-1')).toBeUndefined()
    await store.events.append('run-1', events, creating)
    expect(await holds(store, events)).toBe(true)
  })

  test('is UNKNOWN_OUTCOME when the answer to the commit is lost', async () => {
    let forgets = false
    const store = await postgresStore({ pool: forgetful(pool, () => forgets) }, { schema, notifications: false })
    const events = eventsOf(bodies(9))

    forgets = true
    expect(await codeOf(store.events.append('run-1', events, creating))).toBe('UNKNOWN_OUTCOME')
    forgets = false

    expect(await holds(store, events)).toBe(true)
  })

  test('is given up as a whole when a statement of it takes longer than its role may', async () => {
    const { store } = await listened()
    await store.events.append('run-1', sampleEvents('run-1', 1), creating)
    await pool.query(`create function ${schema}.slow() returns trigger language plpgsql as
      'begin if new.seq = 19 then raise query_canceled; end if; return new; end'`)
    await pool.query(`create trigger slow before insert on ${schema}.events
      for each row execute function ${schema}.slow()`)
    const events = eventsOf(bodies(20), sampleEvents('run-1', 1)[0])

    const append = store.events.append('run-1', events, { expectedHead: 1, fencingToken: 1, run: running })

    await expect(append).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true })
    expect(await holds(store, sampleEvents('run-1', 1))).toBe(true)
  })
})

/** Ends the connections that are amid a transaction on the schema. */
async function endTransactions(): Promise<void> {
  const terminate = `select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where state = 'idle in transaction' and query like $1`
  await pool.query(terminate, [`%"${schema}"%`])
}
