import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { allPages, readAll, rowOf } from '../expectations.ts'
import { sampleEvents } from '../sample-events.ts'
import {
  acquire,
  claimDue,
  createRun,
  extend,
  owner,
  post,
  release,
  runIds,
  running,
  startIdleRun,
  startRun,
} from '../test-run.ts'

export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Ids that break a store which builds SQL from them, matches them as patterns, folds their case or cuts them. */
export const odd: readonly string[] = [
  `'; drop table runs; --`,
  `' or '1'='1`,
  `"quoted" \`ticks\` [brackets]`,
  'back\\slash \\" \\\'',
  '%',
  '_',
  '%s $1 ? :id @id {0} ${id}',
  '$$ /* */ --',
  ' leading and trailing ',
  '../../etc/passwd',
  'null',
  'Case',
  'case',
  '__proto__',
  'constructor',
  '0',
  '1e2',
  '日本語',
  'e\u0301',
  '\u00e9',
  'straße',
  'STRASSE',
  '👩‍👩‍👧‍👦',
  '\u202eevil',
  'x'.repeat(200),
  '€'.repeat(200),
  '𝒳'.repeat(100),
]

/** Ids that no store accepts: SQL, logs and terminals would each make something else of them. */
export const wrong: readonly string[] = ['', 'a\u0000b', 'line\nbreak', '\u0007', '\u0085', '\ud800', 'x'.repeat(201)]

export const idCases: readonly ContractCase[] = contractGroup('ids', {
  'every valid run id names its own run and no other': async ({ store }) => {
    for (const runId of odd) await startIdleRun(store, { runId, events: 2 })

    equal((await store.runs.list({}, { limit: 1000 })).items.length, odd.length)
    for (const runId of odd) {
      deepEqual(await readAll(store, runId), sampleEvents(runId, 2))
      equal((await rowOf(store, runId)).runId, runId)
    }
    deepEqual(new Set(runIds(await claimDue(store, 'b'))), new Set(odd))
  },

  'every valid id serves as post, tag, queue, workflow, version, parent and owner': async ({ store }) => {
    for (const [i, id] of odd.entries()) {
      const creation = { workflow: id, version: id, tags: [id, `n${i}`], queue: id, parent: id }
      const run = await startRun(store, { runId: `run-${i}`, creation, owner: id })
      await post(store, run.runId, id)
      equal(await post(store, run.runId, id), 'duplicate')
      equal((await extend(store, run, { take: [id] })).waiting, 0)
      equal(await post(store, run.runId, id), 'duplicate')
      await release(store, { ...run, end: { ...run.end, seq: 2 } }, running)
    }

    for (const [i, id] of odd.entries()) {
      for (const filter of [{ workflow: id }, { tags: [id] }, { parent: id }]) {
        deepEqual(runIds((await store.runs.list(filter, { limit: 1000 })).items), [`run-${i}`])
      }
      const claims = await claimDue(store, id, { workflows: [{ name: id, versions: [id] }], queues: [{ name: id }] })
      deepEqual(
        claims.map((claim) => [claim.runId, claim.owner]),
        [[`run-${i}`, owner(id)]],
      )
    }
  },

  'queues and concurrency keys are told apart by the whole id': async ({ store }) => {
    for (const [i, id] of odd.entries()) {
      await createRun(store, `keyed-${i}`, { queue: 'keyed', concurrencyKey: id })
      for (const n of [1, 2]) await createRun(store, `${i}-${n}`, { queue: id })
    }
    const limit = { concurrency: 1, rate: { limit: 1, periodMs: 1 } }

    const ofKeys = await claimDue(store, 'b', { queues: [{ name: 'keyed', concurrencyPerKey: 1 }] })
    const ofQueues = await claimDue(store, 'b', { queues: odd.map((name) => ({ name, ...limit })) })

    equal(ofKeys.length, odd.length)
    deepEqual(
      ofQueues.map(({ queue }) => queue),
      odd,
    )
  },

  'a removed run takes no other with it': async ({ store }) => {
    for (const runId of odd) await startIdleRun(store, { runId })

    for (const [i, runId] of odd.entries()) {
      equal(await store.runs.remove(runId, { ifTerminal: false }), true)
      equal((await store.runs.list({}, { limit: 1000 })).items.length, odd.length - i - 1)
    }
  },

  'the list pages through every valid id': async ({ store }) => {
    for (const runId of odd) await startIdleRun(store, { runId })

    const pages = await allPages(async (request) => store.runs.list({}, { ...request, limit: 2 }))

    deepEqual(runIds(pages.flat()).toSorted(), odd.toSorted())
  },

  'runs of one instant stand in the order of the bytes of their ids': async ({ store }) => {
    const ids = [...odd, 'a', 'aa', 'a\uffff', 'a𝒳', 'a\ue000', 'b'].toSorted(byBytes)
    for (const runId of ids.toReversed()) await createRun(store, runId)

    deepEqual(runIds((await store.runs.list({}, { limit: 1000 })).items), ids.toReversed())
    const pages = await allPages(async (request) => store.runs.list({}, { ...request, limit: 1 }))
    deepEqual(runIds(pages.flat()), ids.toReversed())
    deepEqual(runIds(await claimDue(store, 'b')), ids)
  },

  'owners are told apart by the whole id': async ({ store }) => {
    await startRun(store, { owner: 'straße' })

    for (const by of ['STRASSE', 'strasse', 'straße ']) {
      equal(await acquire(store, 'run-1', by).catch(() => 'busy'), 'busy')
    }
    ok((await acquire(store, 'run-1', 'straße')).token > 1)
  },
})
