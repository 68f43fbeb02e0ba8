import type { ContentId, RunFilter, Store } from '@varve/store'
import { deepEqual, equal } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { allPages, everythingOf, rejectsWith, rowOf } from '../expectations.ts'
import { sampleIds, wrongIds } from '../sample-ids.ts'
import {
  acquire,
  completed,
  extend,
  post,
  release,
  runIds,
  running,
  startIdleRun,
  startRun,
  type TestRun,
} from '../test-run.ts'

const [a, b, c, d] = sampleIds(4) as [ContentId, ContentId, ContentId, ContentId]

/** The runs that refer to an artifact, read one by one. */
async function referring(store: Store, artifact: ContentId, more: RunFilter = {}): Promise<readonly string[]> {
  const filter = { artifact, ...more }
  return runIds((await allPages(async (page) => store.runs.list(filter, { ...page, limit: 1 }))).flat())
}

export const referenceCases: readonly ContractCase[] = contractGroup('references', {
  'a run refers to what its appends say, the first one and later ones': async ({ store }) => {
    const run = await startRun(store, { update: { artifacts: [a] } })
    deepEqual(await store.runs.referred([d, b, a]), [a])

    const after = await extend(store, run, { run: { artifacts: [b, c, b] } })
    await extend(store, after, { run: { artifacts: [a, c] } })

    deepEqual(await store.runs.referred([d, c, b, a]), [c, b, a])
    deepEqual(await store.runs.referred([d]), [])
  },

  'an append that takes posts, and one that ends the run, refer as well': async ({ store }) => {
    let run = await startRun(store)
    await post(store, 'run-1', 'p')

    run = await extend(store, run, { take: ['p'], run: { artifacts: [a] } })
    await extend(store, run, { run: { ...completed, artifacts: [b] } })

    deepEqual(await store.runs.referred([a, b, c]), [a, b])
    equal((await rowOf(store, 'run-1')).waiting, 0)
  },

  'an append without events refers': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')

    await extend(store, run, { events: 0, take: ['p'], run: { artifacts: [a] } })

    deepEqual(await store.runs.referred([a]), [a])
  },

  'runs are listed by what they refer to': async ({ store, clock }) => {
    for (const [runId, artifacts] of Object.entries({ r1: [a], r2: [a, b], r3: [], r4: [b, a] })) {
      await startRun(store, {
        runId,
        update: { artifacts },
        creation: { workflow: runId === 'r2' ? 'other' : 'sample' },
      })
      clock.advance(1000)
    }

    deepEqual(await referring(store, a), ['r4', 'r2', 'r1'])
    deepEqual(await referring(store, b), ['r4', 'r2'])
    deepEqual(await referring(store, c), [])
    deepEqual(await referring(store, a, { workflow: 'sample' }), ['r4', 'r1'])
    deepEqual(await referring(store, b, { workflow: 'other', statuses: ['running'] }), ['r2'])
  },

  'a run keeps its place in the list of what it refers to, however late it does, and together with others': async ({
    store,
    clock,
  }) => {
    const runs = new Map<string, TestRun>()
    for (const runId of ['r1', 'r2', 'r3', 'r4']) {
      const tags = runId === 'r2' ? [] : ['eu']
      runs.set(runId, await startRun(store, { runId, creation: { tags } }))
      clock.advance(1000)
    }
    const refer = async (runId: string) => extend(store, runs.get(runId) as TestRun, { run: { artifacts: [a] } })

    await refer('r3')
    await Promise.all(['r4', 'r1', 'r2'].map(refer))

    deepEqual(await referring(store, a), ['r4', 'r3', 'r2', 'r1'])
    deepEqual(await referring(store, a, { tags: ['eu'] }), ['r4', 'r3', 'r1'])
    deepEqual(await referring(store, b, { tags: ['eu'] }), [])
  },

  'an append that is refused refers to nothing': async ({ store }) => {
    const run = await startRun(store)
    await post(store, 'run-1', 'p')
    const lost = { ...run, end: { ...run.end, seq: 0 } }
    const fenced = { ...run, claim: { ...run.claim, token: 7 } }

    await rejectsWith('HEAD_CONFLICT', async () => extend(store, lost, { run: { artifacts: [a] } }))
    await rejectsWith('FENCED', async () => extend(store, fenced, { run: { artifacts: [a] } }))
    await rejectsWith('INBOX_PENDING', async () => extend(store, run, { run: { ...completed, artifacts: [a] } }))
    await rejectsWith('HEAD_CONFLICT', async () => startRun(store, { update: { artifacts: [a] } }))
    await rejectsWith('RUN_NOT_FOUND', async () => extend(store, { ...run, runId: 'r2' }, { run: { artifacts: [a] } }))

    deepEqual(await store.runs.referred([a]), [])
    deepEqual(await referring(store, a), [])
  },

  'a removed run refers to nothing any more, and the others still do': async ({ store }) => {
    await startIdleRun(store, { runId: 'r1', update: { artifacts: [a, b] } })
    await startIdleRun(store, { runId: 'r2', update: { artifacts: [b, c] } })

    await store.runs.remove('r1', { ifTerminal: false })

    deepEqual(await store.runs.referred([a, b, c]), [b, c])
    deepEqual(await referring(store, b), ['r2'])
    await startRun(store, { runId: 'r1' })
    deepEqual(await store.runs.referred([a]), [])
    deepEqual(await referring(store, b), ['r2'])
  },

  'an append refers to at most 1000 artifacts, and 1-1000 may be asked for': async ({ store }) => {
    const many = sampleIds(1001)
    const run = await startRun(store, { update: { artifacts: many.slice(0, 1000) } })

    await rejectsWith('INVALID_ARGUMENT', async () => extend(store, run, { run: { artifacts: many } }))
    await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { runId: 'r2', update: { artifacts: many } }))
    for (const asked of [[], many]) await rejectsWith('INVALID_ARGUMENT', async () => store.runs.referred(asked))

    deepEqual(await store.runs.referred(many.slice(1)), many.slice(1, 1000))
    equal(await store.runs.find('r2'), undefined)
    equal((await rowOf(store, 'run-1')).head, 1)
  },

  'what is no id of a content is INVALID_ARGUMENT and changes nothing': async ({ store }) => {
    const run = await startRun(store)

    for (const id of wrongIds) {
      await rejectsWith('INVALID_ARGUMENT', async () => extend(store, run, { run: { artifacts: [a, id] } }))
      await rejectsWith('INVALID_ARGUMENT', async () => startRun(store, { runId: 'r2', update: { artifacts: [id] } }))
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.referred([a, id]))
    }
    for (const artifact of wrongIds.filter((id) => typeof id === 'string')) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.runs.list({ artifact }, { limit: 10 }))
    }

    equal((await rowOf(store, 'run-1')).head, 1)
    equal(await store.runs.find('r2'), undefined)
    deepEqual(await store.runs.referred([a]), [])
  },

  'a release takes no artifacts': async ({ store }) => {
    const run = await startRun(store)
    const before = await everythingOf(store, 'run-1')

    await rejectsWith('INVALID_ARGUMENT', async () => release(store, run, { ...running, artifacts: [a] }))

    deepEqual(await everythingOf(store, 'run-1'), before)
    deepEqual(await store.runs.referred([a]), [])
  },

  'an artifact that is referred to is not kept by that alone, and needs not be there': async ({ store, clock }) => {
    const id = await store.artifacts.put(Uint8Array.of(1))
    await startRun(store, { update: { artifacts: [id, a] } })
    clock.advance(1000)

    equal(await store.artifacts.delete(id, { ifUnusedSince: clock.now() }), true)

    deepEqual(await store.runs.referred([a, id]), [a, id])
  },

  'a driver that took the run over refers, and the one before no more': async ({ store, clock }) => {
    const run = await startRun(store)
    clock.advance(600_000)
    const claim = await acquire(store, 'run-1', 'b')

    await rejectsWith('FENCED', async () => extend(store, run, { run: { artifacts: [a] } }))
    await extend(store, { ...run, claim }, { run: { artifacts: [b] } })

    deepEqual(await store.runs.referred([a, b]), [b])
  },
})
