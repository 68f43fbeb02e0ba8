import { genesis, type LogEnd, type Problem, type Snapshot, type StoredEvent } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type CaseContext, type ContractCase } from '../contract-case.ts'
import { readAll, rowOf } from '../expectations.ts'
import { eventOf } from '../sample-events.ts'
import { acquire, blocked, extend, LEASE_MS, owner, release, startRun, type TestRun } from '../test-run.ts'

const MAX = Number.MAX_SAFE_INTEGER

/** Texts of JSON that a store which parses, re-orders, re-encodes or cuts would change. */
const bodies: Readonly<Record<string, string>> = {
  unicode: '{"text":"äöü ß ✓ 日本語 \u202e\u200b"}',
  'characters beyond the first plane': '{"text":"𝒳 👩‍👩‍👧‍👦 𠜎","𐐷":1}',
  'composed and decomposed characters': '["\u00e9","e\u0301"]',
  'an escaped NUL': '{"text":"a\\u0000b","\\u0000":null}',
  'an escaped lone surrogate': '["\\ud800"]',
  'the key __proto__': '{"__proto__":{"polluted":true},"constructor":1}',
  'the largest integers': `[${MAX},-${MAX}]`,
  'numbers in other spellings': '[1e2,100,1.0,-0,0.1e1,1E400]',
  'keys out of order and twice': '{"b":1,"a":2,"b":3}',
  'white space': ' {\t"a" : [ 1 ,\r\n 2 ] }\n',
  'a hundred levels': '['.repeat(100) + ']'.repeat(100),
  'a hundred levels of objects': '{"a":'.repeat(100) + '1' + '}'.repeat(100),
  'quotes and escapes': JSON.stringify(`'; drop table events; -- "\\ \\x00 %s $1 ? :name \${x}`),
  'a bare string': '""',
  null: 'null',
  '1 MiB': JSON.stringify('x'.repeat(1024 * 1024 - 2)),
  '1 MiB of many bytes per character': JSON.stringify('€𝒳'.repeat(149_796)),
}

function snapshotOf(body: string): Snapshot {
  return { runId: 'run-1', seq: 1, hash: 'h', format: 1, workflowVersion: '1', build: 'b', body }
}

const byteForByte = Object.entries(bodies).map(([what, body]): readonly ContractCase[] =>
  contractGroup('values', {
    [`bodies come back byte for byte: ${what}`]: async ({ store }) => {
      const first = eventOf('run-1', genesis('run-1'), { body })
      const run = await startRun(store, { events: [first] })
      await store.snapshots.save(snapshotOf(body))
      await store.inbox.post('run-1', { id: 'p', type: 'Resumed', body }, { maxWaiting: 10 })

      equal((await readAll(store, 'run-1'))[0]?.body, body)
      equal((await store.snapshots.latest('run-1'))?.body, body)
      equal((await store.inbox.list('run-1', { limit: 1 })).items[0]?.body, body)

      await extend(store, run, { reject: [{ id: 'p', error: body }] })
      const rejected = await store.inbox.rejected('run-1', { limit: 1 })
      deepEqual(
        rejected.items.map((post) => [post.body, post.error]),
        [[body, body]],
      )
    },
  }),
)

async function appendOne(
  context: CaseContext,
  run: TestRun,
  fields: Parameters<typeof eventOf>[2],
): Promise<StoredEvent[]> {
  const event = eventOf('run-1', run.end, fields)
  await extend(context.store, run, { events: [event] })
  const read = await readAll(context.store, 'run-1', { from: 2 })
  deepEqual(read, [event])
  return read
}

export const valueCases: readonly ContractCase[] = [
  ...byteForByte.flat(),
  ...contractGroup('values', {
    'numbers are numbers up to 2^53 - 1': async (context) => {
      const { store } = context
      const run = await startRun(store)

      await appendOne(context, run, { at: MAX, v: 3 })

      equal((await rowOf(store, 'run-1')).format, 3)
      const problem: Problem = { ...problemOf('x'), retryAt: MAX }
      const end: LogEnd = { ...run.end, seq: 2 }
      await store.runs.release(run.claim, { expectedHead: end.seq, run: { ...blocked, wakeAt: MAX }, problem })
      const row = await rowOf(store, 'run-1')
      deepEqual([row.wakeAt, row.problem], [MAX, problem])
    },

    'the highest format of the log stays the format of the run': async ({ store }) => {
      const run = await startRun(store, { events: [eventOf('run-1', genesis('run-1'), { v: 2 })] })
      await extend(store, run)

      equal((await rowOf(store, 'run-1')).format, 2)
    },

    'event types are kept as they are': async (context) => {
      const run = await startRun(context.store)

      await appendOne(context, run, { type: `'"; -- Ünï 𝒳 %_\\` })
    },

    'what a row holds comes back as it was': async ({ store }) => {
      const run = await startRun(store)
      const odd = `'"\\ %_ ✓ 𝒳 \u202e`
      const update = {
        ...blocked,
        blockedOn: [
          { kind: 'timer', key: odd, until: MAX },
          { kind: 'wait', key: 'w', name: odd },
        ],
        owes: [
          JSON.parse('{"__proto__":{"a":1},"b":[null,true,1.5,"\\u0000"]}') as never,
          nested(90),
          [],
          odd,
          0,
          null,
        ],
      } as const
      const problem = problemOf(`${odd} \u0000`)

      await store.runs.release(run.claim, { expectedHead: 1, run: update, problem })

      const row = await rowOf(store, 'run-1')
      deepEqual([row.blockedOn, row.owes, row.problem], [update.blockedOn, update.owes, problem])
    },

    'all that is known of an owner is kept, and what is not known is null': async ({ store }) => {
      const run = await startRun(store)
      const unknown = { id: 'b', boot: null, pidNamespace: null, pid: 1, startedAt: null }
      const known = {
        id: 'c',
        boot: 'ü-1',
        pidNamespace: '4026531836',
        pid: 4_194_304,
        startedAt: '98765432109876543210',
      }
      await release(store, run)

      for (const given of [unknown, known]) {
        const claim = await store.runs.acquire('run-1', { owner: given, leaseMs: LEASE_MS })
        deepEqual([claim.owner, (await rowOf(store, 'run-1')).lease?.owner], [given, given])
        await store.runs.release(claim, { expectedHead: 1 })
      }
    },

    'a store keeps copies of what it was given': async ({ store }) => {
      const event = { ...eventOf('run-1', genesis('run-1'), {}) }
      const tags = ['a']
      const blockedOn = [{ kind: 'timer' as const, key: 't' }]
      const holder = { ...owner('a') }
      const lease = { owner: holder, leaseMs: LEASE_MS }
      await startRun(store, { events: [event], creation: { tags, lease }, update: { blockedOn } })
      const draft = { id: 'p', type: 'Resumed', body: '1' }
      await store.inbox.post('run-1', draft, { maxWaiting: 10 })
      const snapshot = { ...snapshotOf('1') }
      await store.snapshots.save(snapshot)

      for (const given of [event, draft, snapshot]) given.body = '2'
      tags.push('b')
      blockedOn.pop()
      holder.id = 'z'

      equal((await readAll(store, 'run-1'))[0]?.body, '{}')
      equal((await store.inbox.list('run-1', { limit: 1 })).items[0]?.body, '1')
      equal((await store.snapshots.latest('run-1'))?.body, '1')
      const row = await rowOf(store, 'run-1')
      deepEqual([row.tags, row.blockedOn.length, row.lease?.owner.id], [['a'], 1, 'a'])
      equal((await acquire(store, 'run-1', 'a')).recoveries, 0)
    },

    'a store hands out copies of what it holds': async ({ store }) => {
      const tags = ['a']
      const blockedOn = [{ kind: 'timer' as const, key: 't' }]
      await startRun(store, {
        creation: { tags, lease: { owner: owner('a'), leaseMs: LEASE_MS } },
        update: { blockedOn },
      })
      await store.inbox.post('run-1', { id: 'p', type: 'Resumed', body: '1' }, { maxWaiting: 10 })
      await store.snapshots.save(snapshotOf('1'))
      const everything = async (): Promise<readonly unknown[]> => [
        await rowOf(store, 'run-1'),
        ...(await store.runs.list({}, { limit: 10 })).items,
        ...(await readAll(store, 'run-1')),
        ...(await store.inbox.list('run-1', { limit: 1 })).items,
        await store.snapshots.latest('run-1'),
      ]
      const before = structuredClone(await everything())

      for (const each of await everything()) spoil(each)

      deepEqual(await everything(), before)
    },

    'an event is its envelope and nothing else': async ({ store }) => {
      const event = eventOf('run-1', genesis('run-1'), {})

      await startRun(store, { events: [{ ...event, note: 'not of the envelope' } as StoredEvent] })

      deepEqual(await readAll(store, 'run-1'), [event])
    },
  }),
]

function problemOf(message: string): Problem {
  return { code: 'ODD', message, retryAt: null }
}

/** Puts something else in the place of every text and number in it; what is frozen stays. */
function spoil(held: unknown): void {
  if (typeof held !== 'object' || held === null) return
  for (const [name, part] of Object.entries(held)) {
    if (typeof part === 'string' || typeof part === 'number') Reflect.set(held, name, 'spoilt')
    else spoil(part)
  }
}

function nested(levels: number): never {
  return JSON.parse('['.repeat(levels) + ']'.repeat(levels)) as never
}
