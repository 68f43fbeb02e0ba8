import { genesis, type Store, type StoreErrorCode } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atOnce, readAll, refusalOf, rowOf } from '../expectations.ts'
import { eventOf, sampleEvents } from '../sample-events.ts'
import {
  acquire,
  blocked,
  claimDue,
  completed,
  createRun,
  extend,
  LEASE_MS,
  post,
  release,
  startIdleRun,
  startRun,
  type ExtendOptions,
  type TestRun,
} from '../test-run.ts'

/** So many runs at once that a store which lets writes share a commit does so. */
const MANY = 60

const named = (n: number): string => `run-${String(n).padStart(2, '0')}`

/** Refusals of appends, each with what makes the run refuse and what is asked of it. */
const refusals: readonly (readonly [StoreErrorCode, (store: Store, run: TestRun) => Promise<Refused>])[] = [
  ['HEAD_CONFLICT', async (store, run) => ({ run, landed: await extend(store, run) })],
  ['FENCED', async (store, run) => ({ run, landed: { ...run, claim: await acquire(store, run.runId, 'a') } })],
  [
    'RUN_NOT_FOUND',
    async (_, run) => ({ run: { ...run, runId: `no ${run.runId}`, end: genesis(`no ${run.runId}`) }, landed: run }),
  ],
  [
    'INBOX_PENDING',
    async (store, run) => {
      await post(store, run.runId, 'p')
      return { run, landed: run, options: { run: completed } }
    },
  ],
]

interface Refused {
  /** What the append takes the run to be. */
  readonly run: TestRun
  /** How the run stands. */
  readonly landed: TestRun
  readonly options?: ExtendOptions
}

async function startMany(store: Store, count: number): Promise<readonly TestRun[]> {
  return atOnce(count, async (n) => startRun(store, { runId: named(n) }))
}

export const sharedCommitCases: readonly ContractCase[] = contractGroup('shared commits', {
  'of appends to many runs at once each gets its own answer': async ({ store }) => {
    const runs = await startMany(store, MANY)
    const asked = await Promise.all(
      runs.map(async (run, n) => {
        const [code, prepare] = refusals[Math.floor(n / 2) % refusals.length] ?? []
        return n % 2 === 0 || prepare === undefined
          ? { code: undefined, run, landed: run }
          : { code, ...(await prepare(store, run)) }
      }),
    )

    const answers = await Promise.all(
      asked.map(async ({ code, run, ...more }) => {
        const options = 'options' in more ? more.options : undefined
        // What must be refused adds no events: no two of one seq give it away.
        const events = sampleEvents(run.runId, code === undefined ? 2 : 0, run.end)
        return refusalOf(async () => extend(store, run, { ...options, events }))
      }),
    )

    deepEqual(
      answers,
      asked.map(({ code }) => code),
    )
    const heads = await Promise.all(runs.map(async ({ runId }) => (await rowOf(store, runId)).head))
    deepEqual(
      heads,
      asked.map(({ code, landed }) => landed.end.seq + (code === undefined ? 2 : 0)),
    )
    const lengths = await Promise.all(runs.map(async ({ runId }) => (await readAll(store, runId)).length))
    deepEqual(lengths, heads)
  },

  'of creates of many runs at once each gets its own claim, and the second of an id is HEAD_CONFLICT': async ({
    store,
  }) => {
    const taken = await startMany(store, 5)

    const answers = await atOnce(MANY, async (n) => {
      const runId = named(n)
      const by = `owner ${n}`
      let token: number | undefined
      const refusal = await refusalOf(async () => {
        const run = await startRun(store, {
          runId,
          owner: by,
          events: 2,
          creation: { tags: [`tag ${n}`], priority: n },
        })
        token = run.claim.token
        deepEqual([run.claim.runId, run.claim.owner.id, run.claim.head], [runId, by, 2])
      })
      return [refusal, token]
    })

    deepEqual(
      answers,
      answers.map((_, n) => (n < taken.length ? ['HEAD_CONFLICT', undefined] : [undefined, 1])),
    )
    for (const n of [0, 7, MANY - 1]) {
      const row = await rowOf(store, named(n))
      const isTaken = n < taken.length
      deepEqual([row.head, row.priority, row.tags], isTaken ? [1, 0, []] : [2, n, [`tag ${n}`]])
      deepEqual(
        (await store.runs.list({ tags: [`tag ${n}`] }, { limit: 9 })).items.map(({ runId }) => runId),
        isTaken ? [] : [named(n)],
      )
    }
  },

  'of appends to many runs at once each releases what it says': async ({ store }) => {
    const runs = await startMany(store, MANY)
    const asked = await Promise.all(
      runs.map(async (run, n) => {
        if (n % 4 < 2) await post(store, run.runId, 'p')
        return { run, posted: n % 4 < 2, release: n % 2 === 0 }
      }),
    )

    const appended = await Promise.all(
      asked.map(async ({ run, release }) => extend(store, run, { run: blocked, release })),
    )

    const rows = await Promise.all(runs.map(async ({ runId }) => rowOf(store, runId)))
    deepEqual(
      appended.map(({ waiting }, n) => [waiting, rows[n]?.lease === undefined]),
      asked.map(({ posted, release }) => [posted ? 1 : 0, release && !posted]),
    )
  },

  'runs that are written to by posts, claims and releases at the same time lose nothing': async ({ store }) => {
    const runs = await startMany(store, 30)
    const idle = await atOnce(10, async (n) => startIdleRun(store, { runId: `idle-${n}` }))

    const [claims] = await Promise.all([
      claimDue(store, 'b'),
      ...runs.map(async (run, n) => {
        const wrote = extend(store, run, { events: 3 })
        const posted = post(store, run.runId, 'p')
        const after = await wrote
        await posted
        if (n % 3 === 0) equal(await release(store, after), 'due')
      }),
      ...idle.map(async (runId) => post(store, runId, 'p')),
      ...runs.map(async ({ runId }) => createRun(store, `beside ${runId}`)),
    ])

    const rows = await Promise.all([...runs.map(({ runId }) => runId), ...idle].map(async (id) => rowOf(store, id)))
    deepEqual(
      rows.map(({ head, waiting }) => [head, waiting]),
      rows.map((_, n) => [n < runs.length ? 4 : 1, 1]),
    )
    // A claim may pass over a run that somebody is writing to just then: it is there for the next.
    const claimed = [...claims, ...(await claimDue(store, 'b'))].map(({ runId }) => runId)
    ok(idle.every((id) => claimed.includes(id)))
    equal(new Set(claimed).size, claimed.length)
  },

  'a write that the database will not have spoils none that came with it': async ({ store }) => {
    const runs = await startMany(store, MANY)
    const bodyOf = (n: number): string =>
      n === 7 ? '{"nul":"\u0000"}' : JSON.stringify({ n, separators: '\u001f\u001e' })

    const answers = await Promise.all(
      runs.map(async (run, n) =>
        refusalOf(async () => extend(store, run, { events: [eventOf(run.runId, run.end, { body: bodyOf(n) })] })),
      ),
    )

    const landed = await Promise.all(runs.map(async ({ runId }) => (await readAll(store, runId)).at(1)?.body))
    for (const [n, body] of landed.entries()) equal(body, answers[n] === undefined ? bodyOf(n) : undefined)
    deepEqual(
      answers.filter((refusal, n) => n !== 7 && refusal !== undefined),
      [],
    )
  },

  'texts come back as they were given, whatever control characters they hold': async ({ store }) => {
    for (const [n, text] of ['\u001f', '\u001e', 'a\u001fb', 'a\u001eb', '', '\u0001\u007f'].entries()) {
      const runs = await atOnce(6, async (i) => startRun(store, { runId: `run-${n}-${i}` }))
      const events = runs.map((run, i) => [eventOf(run.runId, run.end, { body: i % 2 === 0 ? text : `{"i":${i}}` })])

      await Promise.all(runs.map(async (run, i) => extend(store, run, { events: events[i] ?? [] })))

      deepEqual(await Promise.all(runs.map(async ({ runId }) => readAll(store, runId, { from: 2 }))), events)
    }
  },

  'of two appends of one run that are made at once the first lands, and the second behind it where it says so': async ({
    store,
  }) => {
    const runs = await startMany(store, 20)

    const answers = await Promise.all(
      runs.flatMap((run) => {
        const first = sampleEvents(run.runId, 2, run.end)
        const behind = { ...run, end: first.at(-1) ?? run.end }
        return [
          refusalOf(async () => extend(store, run, { events: first })),
          refusalOf(async () => extend(store, run, { events: sampleEvents(run.runId, 1, run.end, 'late') })),
          refusalOf(async () => extend(store, behind, { events: 1 })),
        ]
      }),
    )

    deepEqual(
      answers.filter((_, i) => i % 3 !== 2),
      runs.flatMap(() => [undefined, 'HEAD_CONFLICT']),
    )
    for (const [n, run] of runs.entries()) {
      const log = await readAll(store, run.runId)
      deepEqual(log.slice(1, 3), sampleEvents(run.runId, 2, run.end))
      equal(log.length, answers[3 * n + 2] === undefined ? 4 : 3)
    }
  },

  'what was acknowledged is there for whoever opens the store again': async ({ store, open }) => {
    const runs = await startMany(store, MANY)
    const after = await Promise.all(runs.map(async (run) => extend(store, run, { events: 2 })))

    const second = store.capabilities.durable || store.capabilities.shared ? await open() : store

    const logs = await Promise.all(runs.map(async ({ runId }) => readAll(second, runId)))
    deepEqual(
      logs.map((log) => log.at(-1)),
      after.map(({ end }) => end),
    )
  },

  'snapshots, appends and ends of many runs at once are all kept': async ({ store }) => {
    const runs = await startMany(store, 30)
    const snapshotOf = (runId: string, seq: number) => ({
      ...{ runId, seq, hash: 'h'.repeat(64), format: 2 },
      ...{ workflowVersion: '1', build: 'b', body: JSON.stringify({ runId, seq }) },
    })
    await Promise.all(runs.slice(20).map(async ({ runId }) => store.snapshots.save(snapshotOf(runId, 9))))

    await Promise.all(
      runs.flatMap((run, n) => [
        extend(store, run, { events: 2, ...(n % 2 === 0 && { run: completed }) }),
        store.snapshots.save(snapshotOf(run.runId, 1)),
      ]),
    )

    for (const [n, { runId }] of runs.entries()) {
      const row = await rowOf(store, runId)
      deepEqual(
        [row.head, row.status, row.lease === undefined],
        n % 2 === 0 ? [3, 'completed', true] : [3, 'running', false],
      )
      deepEqual(await store.snapshots.latest(runId), snapshotOf(runId, n < 20 ? 1 : 9))
    }
  },

  'each row is as its own append says': async ({ store, clock }) => {
    const begun = await startMany(store, 24)
    clock.advance(LEASE_MS + 1)
    const runs = await Promise.all(begun.map(async (run) => ({ ...run, claim: await acquire(store, run.runId, 'b') })))
    const updates = runs.map((_, n) => ({
      ...(n % 2 === 0 && {
        blockedOn: [{ kind: 'timer' as const, key: `t${n}` }],
        status: 'blocked' as const,
        wakeAt: 5 + n,
      }),
      ...(n % 3 === 0 && { owes: [`debt ${n}`] }),
      ...(n % 4 === 0 && { version: `${n}` }),
      ...(n % 5 === 0 && { progressed: true }),
    }))

    await Promise.all(runs.map(async (run, n) => extend(store, run, { run: updates[n] ?? {} })))

    for (const [n, { runId }] of runs.entries()) {
      const row = await rowOf(store, runId)
      deepEqual(
        [row.status, row.blockedOn, row.owes, row.version, row.wakeAt === 5 + n, row.recoveries],
        [
          n % 2 === 0 ? 'blocked' : 'running',
          n % 2 === 0 ? [{ kind: 'timer', key: `t${n}` }] : [],
          n % 3 === 0 ? [`debt ${n}`] : [],
          n % 4 === 0 ? `${n}` : '1',
          n % 2 === 0 && n % 3 !== 0,
          n % 5 === 0 ? 0 : 1,
        ],
      )
    }
  },
})
