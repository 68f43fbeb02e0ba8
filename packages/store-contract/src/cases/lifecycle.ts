import type { ContentId, Store } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atOnce, everythingOf, readAll, refusalOf, rejectsWith } from '../expectations.ts'
import { collect, cut, isWhole, MIB } from '../sample-bytes.ts'
import { sampleIds } from '../sample-ids.ts'
import { acquire, claimDue, extend, LEASE_MS, post, release, running, startRun, type TestRun } from '../test-run.ts'

const snapshot = { runId: 'run-1', seq: 1, hash: 'h', format: 1, workflowVersion: '1', build: 'b', body: '{}' }

const sealed = Uint8Array.of(1, 2, 3)

/** Every method of a store, called on a run that exists. */
function everyCall(store: Store, run: TestRun): Readonly<Record<string, () => Promise<unknown>>> {
  const { claim } = run
  return {
    'events.append': async () => extend(store, run),
    'events.append of a new run': async () => startRun(store, { runId: 'run-2' }),
    'events.read': async () => readAll(store, 'run-1'),
    'runs.find': async () => store.runs.find('run-1'),
    'runs.list': async () => store.runs.list({}, { limit: 10 }),
    now: async () => store.now(),
    'runs.claim': async () => claimDue(store, 'b'),
    'runs.claim within limits': async () => claimDue(store, 'b', { queues: [{ name: 'default', concurrency: 1 }] }),
    'runs.dueIn': async () => store.runs.dueIn({ workflows: [], queues: [], formats: [1] }),
    'runs.acquire': async () => acquire(store, 'run-1', 'a'),
    'runs.renew': async () => store.runs.renew(claim, { leaseMs: LEASE_MS }),
    'runs.release': async () => store.runs.release(claim, { expectedHead: 1 }),
    'runs.remove': async () => store.runs.remove('run-1', { ifTerminal: false }),
    'inbox.post': async () => post(store, 'run-1', 'p'),
    'inbox.list': async () => store.inbox.list('run-1', { limit: 10 }),
    'inbox.rejected': async () => store.inbox.rejected('run-1', { limit: 10 }),
    'snapshots.save': async () => store.snapshots.save(snapshot),
    'snapshots.latest': async () => store.snapshots.latest('run-1'),
    'snapshots.prune': async () => store.snapshots.prune('run-1', { keep: 1 }),
    ...everyContentCall(store),
    'secrets.put': async () => store.secrets.put('s-1', sealed),
    'secrets.get': async () => store.secrets.get('s-1'),
    'secrets.erase': async () => store.secrets.erase('s-1'),
    ...(store.notifications !== undefined && {
      'notifications.subscribe': async () => store.notifications?.subscribe(() => undefined),
    }),
  }
}

/** Those of artifacts, of the cache and of references. */
function everyContentCall({ runs, artifacts, cache }: Store): Readonly<Record<string, () => Promise<unknown>>> {
  const [id] = sampleIds(1) as [ContentId]
  return {
    'runs.referred': async () => runs.referred([id]),
    'artifacts.put': async () => artifacts.put(sealed),
    'artifacts.put of a stream': async () => artifacts.put(cut(sealed, 2)),
    'artifacts.put of several chunks': async () => artifacts.put(new Uint8Array(2 * MIB)),
    'artifacts.get': async () => artifacts.get(id),
    'artifacts.has': async () => artifacts.has(id),
    'artifacts.touch': async () => artifacts.touch([id]),
    'artifacts.list': async () => artifacts.list({}, { limit: 10 }),
    'artifacts.delete': async () => artifacts.delete(id, { ifUnusedSince: 0 }),
    'cache.find': async () => cache.find('k'),
    'cache.putIfAbsent': async () => cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [], body: 1 }),
    'cache.delete': async () => cache.delete('k'),
    'cache.list': async () => cache.list({}, { limit: 10 }),
    'cache.referred': async () => cache.referred([id]),
  }
}

export const lifecycleCases: readonly ContractCase[] = contractGroup('lifecycle', {
  'every method of a closed store is STORE_CLOSED': async ({ store }) => {
    const run = await startRun(store)
    const artifact = await store.artifacts.get(await store.artifacts.put(sealed))
    const calls = {
      ...everyCall(store, run),
      'bytes of an artifact': async () => artifact.bytes(),
      'stream of an artifact': async () => collect(artifact.stream()),
    }

    await store[Symbol.asyncDispose]()

    for (const [name, call] of Object.entries(calls)) {
      const refusal = await refusalOf(call)
      equal(refusal, 'STORE_CLOSED', `${name}: ${refusal ?? 'no refusal'}`)
    }
  },

  'a store may be closed twice, also at once': async ({ store }) => {
    await startRun(store)

    await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()])
    await store[Symbol.asyncDispose]()

    await rejectsWith('STORE_CLOSED', async () => store.runs.find('run-1'))
  },

  'a store that was never used closes': async ({ store }) => {
    await store[Symbol.asyncDispose]()
  },

  'calls in flight at the close either happen or say so': async ({ store, open }) => {
    await startRun(store)
    const posting = atOnce(20, async (n) => refusalOf(async () => post(store, 'run-1', `p${n}`)))

    const [refusals] = await Promise.all([posting, store[Symbol.asyncDispose]()])

    const acknowledged = refusals.filter((refusal) => refusal === undefined).length
    deepEqual(
      refusals.filter((refusal) => refusal !== undefined && !['STORE_CLOSED', 'UNKNOWN_OUTCOME'].includes(refusal)),
      [],
    )
    if (!store.capabilities.durable) return
    const reopened = await open()
    const { items: waiting } = await reopened.inbox.list('run-1', { limit: 100 })
    ok(waiting.length >= acknowledged)
  },

  'a durable store that is opened again has everything': async ({ store, open }) => {
    const run = await startRun(store, { events: 3 })
    for (const id of ['p', 'q', 'r']) await post(store, 'run-1', id)
    const update = { owes: ['x'], artifacts: sampleIds(2) }
    const after = await extend(store, run, { take: ['p'], reject: [{ id: 'q', error: '{}' }], run: update })
    await store.snapshots.save({ ...snapshot, seq: 3 })
    await store.secrets.put('s-1', sealed)
    await store.secrets.erase('s-2')
    const id = await store.artifacts.put(sealed)
    const entry = await store.cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [id], body: [1] })
    const before = await everythingOf(store, 'run-1')
    await store[Symbol.asyncDispose]()

    const reopened = await open()

    if (!store.capabilities.durable) {
      equal(await reopened.runs.find('run-1'), undefined)
      equal(await reopened.secrets.get('s-1'), undefined)
      equal(await reopened.artifacts.has(id), false)
      equal(await reopened.cache.find('k'), undefined)
      return
    }
    deepEqual(await everythingOf(reopened, 'run-1'), before)
    deepEqual([...((await reopened.secrets.get('s-1')) ?? [])], [...sealed])
    await rejectsWith('SECRET_ERASED', async () => reopened.secrets.put('s-2', sealed))
    await isWhole(reopened.artifacts, id, sealed)
    deepEqual(await reopened.cache.find('k'), entry)
    deepEqual(await reopened.cache.referred([id]), [id])
    deepEqual(await reopened.runs.referred(sampleIds(3)), sampleIds(2))
    equal(await post(reopened, 'run-1', 'p'), 'duplicate')
    const last = await extend(reopened, after, { take: ['r'], run: { owes: [] } })
    equal(await release(reopened, last, running), 'due')
  },

  'shared stores see one another, and such that are neither shared nor durable do not': async ({ store, open }) => {
    const { durable, shared } = store.capabilities
    const run = await startRun(store)
    if (!shared) {
      if (!durable) equal(await (await open()).runs.find('run-1'), undefined)
      return
    }
    const other = await open()
    await post(other, 'run-1', 'p')
    const after = await extend(store, run, { take: ['p'] })
    deepEqual(await everythingOf(other, 'run-1'), await everythingOf(store, 'run-1'))
    await rejectsWith('RUN_BUSY', async () => acquire(other, 'run-1', 'b'))
    await store.secrets.put('s-1', sealed)
    await other.secrets.erase('s-1')
    equal(await store.secrets.get('s-1'), undefined)
    const entry = await other.cache.putIfAbsent({ key: 'k', group: 'g', artifacts: sampleIds(1), body: 1 })
    deepEqual(await store.cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [], body: 2 }), entry)
    deepEqual(await store.cache.referred(sampleIds(2)), sampleIds(1))
    await other[Symbol.asyncDispose]()
    await extend(store, after)
  },

  'a store that is opened many times stays one store': async ({ store, open }) => {
    if (!store.capabilities.shared) return

    const handles = await atOnce(8, open)
    await atOnce(8, async (n) => startRun(handles[n] ?? store, { runId: `run-${n}` }))

    equal((await store.runs.list({}, { limit: 100 })).items.length, 8)
  },

  'calls may be made all at once': async ({ store }) => {
    await startRun(store, { runId: 'run-1' })

    const answers = await atOnce(60, async (n) => {
      if (n % 3 === 0) return (await startRun(store, { runId: `new-${n}` })).end.seq
      return n % 3 === 1 ? (await readAll(store, 'run-1')).length : (await store.runs.find('run-1'))?.head
    })

    deepEqual(new Set(answers), new Set([1]))
  },
})
