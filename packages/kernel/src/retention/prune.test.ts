import {
  canonicalJson,
  contentId,
  StoreError,
  type Debt,
  type PageRequest,
  type RunFilter,
  type RunStatus,
  type Store,
  type StoredEvent,
} from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { verifyEvidence } from '../evidence/verify-evidence.ts'
import { createKernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { derivedRunId } from '../run/request-draft.ts'
import { secretKeys } from '../secrets/secret-keys.ts'
import { secret } from '../secrets/secret.ts'
import { secretSchema } from '../secrets/secret-schema.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { runStarted, sealLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import type { PruneOptions } from './prune.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const MONTH = { olderThanMs: 30 * DAY_MS }

/** Puts its text, if it has one, and ends as it is told. */
const writing = defineWorkflow(
  {
    name: 'writing',
    version: '1',
    input: z.object({ text: z.string(), end: z.enum(['completes', 'fails', 'waits']) }),
    interrupts: { ask: { ask: z.null(), answer: z.null() } },
    actions: { put: { run: (text: string, { artifacts }: ActionContext) => artifacts.put(text) } },
  },
  {
    step: ({ input, results }, next) => {
      if (!results['put']) return next.run('put', input.text)
      if (input.end === 'fails') return next.fail({ code: 'TOLD', message: 'as told' })
      return input.end === 'completes' || results['ask'] ? next.complete(results['put']) : next.interrupt('ask', null)
    },
  },
)

function setup(wrap: (store: Store) => Store = (store) => store) {
  const clock = manualClock()
  const data = memoryStore({ now: clock.now })
  const kernel = createKernel({ store: wrap(data), workflows: [writing], clock })
  const write = async (
    runId: string,
    text: string,
    end: 'completes' | 'fails' | 'waits' = 'completes',
    tags: readonly string[] = [],
  ) => kernel.start(writing, { text, end }, { runId, tags })
  const texts = async () => {
    const { items } = await data.artifacts.list({}, { limit: 100 })
    const contents = await Promise.all(items.map(async ({ id }) => (await data.artifacts.get(id)).bytes()))
    return contents.map((bytes) => Buffer.from(bytes).toString()).toSorted()
  }
  const ids = async () => (await data.runs.list({}, { limit: 1000 })).items.map(({ runId }) => runId).toSorted()
  return { clock, data, kernel, write, texts, ids }
}

/** A run that has ended, as a store holds it. */
async function leave(
  store: Store,
  runId: string,
  { status = 'completed', owes, parent }: { status?: RunStatus; owes?: readonly Debt[]; parent?: string } = {},
) {
  const create = { workflow: 'left', version: '1', tags: [], queue: 'default', ...(parent && { parent }) }
  const wakeAt = status === 'running' ? 0 : null
  const run = { status, blockedOn: [], wakeAt, create, ...(owes && { owes }) }
  await store.events.append(runId, sealLog(runId, [runStarted('left')]), { expectedHead: 0, fencingToken: 0, run })
}

describe('a prune removes', () => {
  test('runs that ended long ago, with their logs and what nothing else refers to, and no others', async () => {
    const { clock, data, kernel, write, texts, ids } = setup()
    await write('old', 'of the old')
    await write('failed', 'of both', 'fails')
    await write('waiting', 'of both', 'waits')
    clock.block(31 * DAY_MS)
    await write('young', 'of the young')

    const report = await kernel.prune(MONTH)

    expect(report).toEqual({
      ...{ removed: expect.arrayContaining(['old', 'failed']) as unknown, kept: [], keptCount: 0, more: false },
      ...{ artifacts: { removed: 1, bytes: 'of the old'.length }, secretsErased: 0 },
    })
    expect(await ids()).toEqual(['waiting', 'young'])
    expect(await texts()).toEqual(['of both', 'of the young'])
    expect(await Array.fromAsync(data.events.read('old'))).toEqual([])
    await expect(kernel.get('old')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  test('what ended before the time, counted from its end by the clock of the store', async () => {
    const { clock, kernel, write } = setup()
    await write('r', 'text', 'waits')
    clock.block(40 * DAY_MS)
    await write('s', 'text')
    clock.block(1)
    await kernel.resume('r', { key: 'ask', value: null })
    clock.block(30 * DAY_MS - 1)
    const early = await kernel.prune(MONTH)

    clock.block(1)
    const late = await kernel.prune(MONTH)

    expect(early.removed).toEqual([])
    expect(late.removed).toEqual(['s'])
  })

  test.for<[what: string, which: Omit<PruneOptions, 'olderThanMs'>, removed: string[]]>([
    ['how they ended', { statuses: ['failed'] }, ['b']],
    ['several ends', { statuses: ['failed', 'completed'] }, ['a', 'b', 'c']],
    ['no end', { statuses: [] }, []],
    ['their workflow', { workflow: 'another' }, []],
    ['their tags', { tags: ['x'] }, ['b', 'c']],
    ['all of their tags', { tags: ['x', 'y'] }, ['c']],
  ])('runs by %s', async ([, which, removed]) => {
    const { clock, kernel, write } = setup()
    await write('a', 'text')
    await write('b', 'text', 'fails', ['x'])
    await write('c', 'text', 'completes', ['x', 'y'])
    clock.block(31 * DAY_MS)

    expect((await kernel.prune({ ...MONTH, ...which })).removed.toSorted()).toEqual(removed)
  })

  test('no more runs than its limit, and says that there are more', async () => {
    const { clock, kernel, write, ids } = setup()
    for (const id of ['a', 'b', 'c']) await write(id, 'text')
    clock.block(31 * DAY_MS)

    const first = await kernel.prune({ ...MONTH, limit: 2 })
    const second = await kernel.prune({ ...MONTH, limit: 2 })

    expect([first.removed.length, first.more]).toEqual([2, true])
    expect([second.removed.length, second.more]).toEqual([1, false])
    expect(await ids()).toEqual([])
  })

  test('no artifacts when they are to stay, and none that were used lately', async () => {
    const { clock, kernel, write, texts } = setup()
    await write('r', 'text')
    clock.block(31 * DAY_MS)

    const without = await kernel.prune({ ...MONTH, artifacts: false })
    const later = await kernel.prune({ ...MONTH, artifactsUnusedMs: 32 * DAY_MS })
    const kept = await texts()
    const swept = await kernel.prune(MONTH)

    expect([without.artifacts.removed, later.artifacts.removed, swept.artifacts.removed]).toEqual([0, 0, 1])
    expect(kept).toEqual(['text'])
  })

  test('nothing for a filter that means nothing', async () => {
    const { clock, kernel, write, ids } = setup()
    await write('r', 'text')
    clock.block(31 * DAY_MS)
    const tags = [null, '', 'x', ['x', null], { 0: 'x' }].map((each) => ({ ...MONTH, tags: each }))
    const workflows = [null, '', 7].map((each) => ({ ...MONTH, workflow: each }))
    const statuses = [null, 'completed', { 0: 'completed' }].map((each) => ({ ...MONTH, statuses: each }))

    for (const options of [...tags, ...workflows, ...statuses, null, undefined, 7, []]) {
      const pruning = kernel.prune(options as unknown as PruneOptions)
      await expect(pruning).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    }

    expect(await ids()).toEqual(['r'])
  })

  test('nothing when it is asked for what cannot be', async () => {
    const { kernel, write, ids } = setup()
    await write('r', 'text')
    const wrong: readonly unknown[] = [
      ...[{}, { olderThanMs: -1 }, { olderThanMs: 0.5 }, { olderThanMs: '1' }, { olderThanMs: Number.NaN }],
      ...[
        ...[
          { limit: 0 },
          { artifactsUnusedMs: -1 },
          { statuses: ['blocked'] },
          { statuses: ['ended'] },
          { statuses: [null] },
          { secrets: 'forget' },
        ],
        ...[{ secrets: null }, { artifacts: 'false' }, { tag: 'x' }, { older: 1 }, { limit: Symbol('1') }],
      ].map((each) => ({ olderThanMs: 0, ...each })),
    ]

    for (const options of wrong) {
      await expect(kernel.prune(options as PruneOptions)).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    }
    await kernel[Symbol.asyncDispose]()
    await expect(kernel.prune(MONTH)).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    expect(await ids()).toEqual(['r'])
  })
})

describe('a prune keeps', () => {
  test('a run that owes something, such as the start of its successor', async () => {
    const { clock, data, kernel, ids } = setup()
    await leave(data, 'r', { status: 'continued', owes: [{ kind: 'start', seq: 1 }] })
    clock.block(31 * DAY_MS)

    expect(await kernel.prune(MONTH)).toMatchObject({ removed: [], kept: [{ runId: 'r', reason: 'owes' }] })
    expect(await ids()).toEqual(['r'])
  })

  test('a run that is leased', async () => {
    const { clock, data, kernel } = setup()
    await leave(data, 'r', { owes: [{ kind: 'cancel', runId: 'x' }] })
    clock.block(31 * DAY_MS)
    await data.runs.acquire('r', { owner: processOwner(), leaseMs: 1000 })

    expect(await kernel.prune(MONTH)).toMatchObject({ removed: [], kept: [{ runId: 'r', reason: 'leased' }] })
  })

  test.for<[code: 'RUN_BUSY' | 'RUN_NOT_TERMINAL', reason: string]>([
    ['RUN_BUSY', 'leased'],
    ['RUN_NOT_TERMINAL', 'owes'],
  ])('a run whose removal the store refuses with %s, as it was taken meanwhile', async ([code, reason]) => {
    const { clock, data, kernel, ids } = setup((store) =>
      recordCalls(store, [], (name) =>
        name === 'runs.remove' ? Promise.reject(new StoreError(code, 'somebody was first')) : undefined,
      ),
    )
    await leave(data, 'r')
    clock.block(31 * DAY_MS)

    expect(await kernel.prune(MONTH)).toMatchObject({ removed: [], kept: [{ runId: 'r', reason }] })
    expect(await ids()).toEqual(['r'])
  })

  test.for<[what: string, parent: Parameters<typeof leave>[2]]>([
    ['has not ended', { status: 'running' }],
    ['has ended and owes something', { owes: [{ kind: 'start', seq: 1 }] }],
  ])('a run whose parent %s: it would start it again', async ([, parent]) => {
    const { clock, data, kernel } = setup()
    await leave(data, 'parent', parent)
    for (const id of ['a', 'b']) await leave(data, id, { parent: 'parent' })
    clock.block(31 * DAY_MS)

    const { removed, kept } = await kernel.prune(MONTH)

    expect(removed).toEqual([])
    expect(kept).toEqual(
      expect.arrayContaining([
        { runId: 'a', reason: 'parent' },
        { runId: 'b', reason: 'parent' },
      ]),
    )
  })

  test('a run whose start the run that goes on as it still owes, and would do all of it again', async () => {
    const counting = defineWorkflow(
      {
        ...{ name: 'counting', version: '1', input: z.enum(['goes on', 'counts']) },
        actions: { count: { run: () => ++counted } },
      },
      {
        step: ({ input, results }, next) => {
          if (input === 'goes on') return next.continueAsNew('counts')
          return results['count'] ? next.complete(null) : next.run('count')
        },
      },
    )
    let counted = 0
    const { clock, data } = setup()
    const kernelOn = (store: Store) => createKernel({ store, workflows: [counting], clock, onWarning: () => undefined })
    let dead = false
    const dying = kernelOn(
      recordCalls(data, [], (name) => {
        // It has started the other, and dies before it can say so.
        dead ||= name === 'runs.release'
        return dead ? Promise.reject(new Error('dead')) : undefined
      }),
    )
    const successor = derivedRunId('r', '\n')
    await dying.start(counting, 'goes on', { runId: 'r' }).catch(() => undefined)
    await clock.advance(60_000)
    await using kernel = kernelOn(data)
    await kernel.run(successor)
    clock.block(31 * DAY_MS)

    expect(await kernel.prune(MONTH)).toMatchObject({
      removed: [],
      kept: expect.arrayContaining([
        { runId: 'r', reason: 'owes' },
        { runId: successor, reason: 'previous' },
      ]) as unknown,
    })
    await kernel.recover()
    await settled()
    expect(counted).toBe(1)
    expect((await kernel.prune(MONTH)).removed.toSorted()).toEqual(['r', successor].toSorted())
  })

  test('no run whose parent has ended, or is gone', async () => {
    const { clock, data, kernel, ids } = setup()
    await leave(data, 'parent')
    await leave(data, 'child', { parent: 'parent' })
    await leave(data, 'orphan', { parent: 'nobody' })
    clock.block(31 * DAY_MS)

    await kernel.prune(MONTH)

    expect(await ids()).toEqual([])
  })

  test('the artifacts that a fork, a cache entry or a waiting post refers to', async () => {
    const { clock, data, kernel, write, texts, ids } = setup()
    for (const text of ['forked', 'cached', 'posted', 'nowhere']) await write(text, text)
    clock.block(31 * DAY_MS)
    await kernel.fork('forked', { at: 3, as: 'fork' })
    const artifactOf = (text: string) => contentId(Buffer.from(text))
    await data.cache.putIfAbsent({ key: 'k', group: 'g', artifacts: [artifactOf('cached')], body: null })
    await leave(data, 'open', { status: 'running' })
    const body = canonicalJson({ key: 'ask', value: [{ $artifact: artifactOf('posted'), size: 6, mediaType: 't' }] })
    await data.inbox.post('open', { id: 'p', type: 'Resumed', body }, { maxWaiting: 9 })

    await kernel.prune(MONTH)

    expect(await ids()).toEqual(['fork', 'open'])
    expect(await texts()).toEqual(['cached', 'forked', 'posted'])
  })
})

describe('what is done before a removal', () => {
  test('can export the run as evidence that verifies when the run is gone', async () => {
    const { clock, kernel, write, ids } = setup()
    await write('r', 'text')
    const { head } = await kernel.get('r')
    clock.block(31 * DAY_MS)
    const bundles = new Map<string, readonly string[]>()

    await kernel.prune({
      ...MONTH,
      before: async ({ runId }, evidence) => {
        bundles.set(runId, await Array.fromAsync(evidence()))
      },
    })

    expect(await ids()).toEqual([])
    const bundle = bundles.get('r') ?? []
    expect(await verifyEvidence(bundle)).toMatchObject({ ok: true, runs: [{ runId: 'r', head }] })
  })

  test('keeps the run when it fails, and only that, and says so', async () => {
    const { clock, kernel, write, texts, ids } = setup()
    await write('a', 'of a')
    await write('b', 'of b')
    clock.block(31 * DAY_MS)
    const full = new Error('the disk is full')
    const before = ({ runId }: { runId: string }) => (runId === 'a' ? Promise.reject(full) : Promise.resolve())

    const report = await kernel.prune({ ...MONTH, before })

    expect(report).toMatchObject({ removed: ['b'], keptCount: 1 })
    expect(report.kept).toEqual([{ runId: 'a', reason: 'before', error: full }])
    expect(await ids()).toEqual(['a'])
    expect(await texts()).toEqual(['of a'])
  })

  test('is not done for a run that is kept anyway', async () => {
    const { clock, data, kernel } = setup()
    await leave(data, 'r', { owes: [{ kind: 'start', seq: 1 }] })
    clock.block(31 * DAY_MS)
    const asked: string[] = []

    await kernel.prune({
      ...MONTH,
      before: ({ runId }) => {
        asked.push(runId)
        return Promise.resolve()
      },
    })

    expect(asked).toEqual([])
  })
})

describe('the secrets of runs that are removed', () => {
  const keys = secretKeys({ current: 'k', keys: { k: new Uint8Array(32).fill(1) } })
  const token = z.object({ token: secretSchema(z.string()), left: z.int() })
  /** Ends, goes on as itself, or waits for an answer, with the token it was given. */
  const carrying = defineWorkflow(
    {
      ...{ name: 'carrying', version: '1', input: token },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
      actions: { use: { run: ({ token: value }: { token: string }) => value.length } },
    },
    {
      step: ({ input, results }, next) => {
        if (input.left > 0) return next.continueAsNew({ ...input, left: input.left - 1 })
        if (input.left === 0 && !results['ask']) return next.interrupt('ask', null)
        return results['use'] ? next.complete(results['use']) : next.run('use', { token: input.token })
      },
    },
  )
  function withSecrets() {
    const clock = manualClock()
    const erased: string[] = []
    const data = memoryStore({ now: clock.now })
    const store: Store = {
      ...data,
      secrets: {
        ...data.secrets,
        erase: async (id) => {
          erased.push(id)
          return data.secrets.erase(id)
        },
      },
    }
    const kernel = createKernel({ store, workflows: [carrying], clock, secrets: { keys } })
    const start = async (runId: string, left: number) =>
      kernel.start(carrying, { token: secret('tok-12345'), left }, { runId })
    return { clock, data, erased, kernel, start }
  }

  test.for<[secrets: 'keep' | 'erase' | undefined, count: number]>([
    [undefined, 0],
    ['keep', 0],
    ['erase', 1],
  ])('with %s are erased: %i', async ([secrets, count]) => {
    const { clock, data, erased, kernel, start } = withSecrets()
    await start('r', -1)
    clock.block(31 * DAY_MS)

    const report = await kernel.prune({ ...MONTH, ...(secrets && { secrets }) })

    expect(report).toMatchObject({ removed: ['r'], secretsErased: count })
    expect(erased).toHaveLength(count)
    for (const id of erased) expect(await data.secrets.get(id)).toBeUndefined()
  })

  test('stay with the runs while one that they were passed on to has not ended, and go with the last one', async () => {
    const { clock, kernel, start, erased } = withSecrets()
    await start('r', 2)
    const second = derivedRunId('r', '\n')
    const third = derivedRunId(second, '\n')
    await kernel.run(second)
    expect(await kernel.run(third)).toMatchObject({ status: 'blocked' })
    clock.block(31 * DAY_MS)

    const before = await kernel.prune({ ...MONTH, secrets: 'erase' })
    const used = await kernel.resume(third, { key: 'ask', value: null })
    clock.block(31 * DAY_MS)
    await kernel.prune({ ...MONTH, secrets: 'erase' })
    await kernel.prune({ ...MONTH, secrets: 'erase' })

    expect(before.removed).toEqual([])
    expect(before.kept.map(({ runId, reason }) => [runId, reason]).toSorted()).toEqual(
      [
        ['r', 'successor'],
        [second, 'successor'],
      ].toSorted(),
    )
    expect(used).toMatchObject({ output: { status: 'succeeded', output: 9 } })
    expect((await kernel.list()).items).toEqual([])
    expect(new Set(erased).size).toBe(1)
  })

  test('are not asked about when they are to be kept: a run whose successor is at work may go', async () => {
    const { clock, kernel, start } = withSecrets()
    await start('r', 1)
    await kernel.run(derivedRunId('r', '\n'))
    clock.block(31 * DAY_MS)

    expect((await kernel.prune(MONTH)).removed).toEqual(['r'])
    expect(await kernel.resume(derivedRunId('r', '\n'), { key: 'ask', value: null })).toMatchObject({
      status: 'completed',
    })
  })

  /** Hands its token to a child in its first rounds, asks in its last one, and uses the token then. */
  const handing = (child: Workflow<z.infer<typeof token>>) =>
    defineWorkflow(
      {
        ...{ name: `handing to ${child.definition.name}`, version: '1', input: token },
        interrupts: { ask: { ask: z.null(), answer: z.null() } },
        actions: { use: { run: ({ token: value }: { token: string }) => value.length } },
      },
      {
        step: ({ input, results }, next) => {
          if (!results['child']) return next.child(child, { ...input, left: -1 }, { key: 'child' })
          if (input.left > 0) return next.continueAsNew({ ...input, left: input.left - 1 })
          if (input.left === 0 && !results['ask']) return next.interrupt('ask', null)
          return results['use'] ? next.complete(results['use']) : next.run('use', { token: input.token })
        },
      },
    )

  test.for([
    ['the child of a child', 0],
    ['the child of a run that has gone on as another', 2],
  ] as const)('are not erased with %s while those above it are at work', async ([, left]) => {
    const clock = manualClock()
    const middle = handing(carrying)
    const top = handing(middle)
    const store = memoryStore({ now: clock.now })
    const kernel = createKernel({ store, workflows: [carrying, middle, top], clock, secrets: { keys } })
    await kernel.start(top, { token: secret('tok-12345'), left }, { runId: 'r' })
    let last = 'r'
    for (let n = 0; n < left; n++) await kernel.run((last = derivedRunId(last, '\n')))
    clock.block(31 * DAY_MS)

    const report = await kernel.prune({ ...MONTH, secrets: 'erase' })
    const used = await kernel.resume(last, { key: 'ask', value: null })
    clock.block(31 * DAY_MS)
    // Of runs that were made in one millisecond nobody knows which is the newest.
    for (let times = 0; times < 3; times++) await kernel.prune({ ...MONTH, secrets: 'erase' })

    expect(report).toMatchObject({ removed: [], secretsErased: 0 })
    expect(used).toMatchObject({ output: { status: 'succeeded', output: 9 } })
    expect((await kernel.list()).items).toEqual([])
  })

  test.for([
    ['the first run', 0],
    ['the second run', 1],
    ['the last run', 2],
  ] as const)('stay in a chain of runs that went on as each other while a child of %s is at work', async ([, at]) => {
    const { clock, data, erased, kernel, start } = withSecrets()
    const second = derivedRunId('r', '\n')
    const chain = ['r', second, derivedRunId(second, '\n')] as const
    await start('r', 2)
    for (const runId of chain) await kernel.run(runId)
    await kernel.resume(chain[2], { key: 'ask', value: null })
    await leave(data, 'child', { parent: chain[at], status: 'running' })
    clock.block(31 * DAY_MS)

    const report = await kernel.prune({ ...MONTH, secrets: 'erase' })

    expect(report.removed).toEqual([])
    expect(erased).toEqual([])
    await data.runs.remove('child', { ifTerminal: false })
    // Of runs that were made in one millisecond nobody knows which is the newest.
    for (let times = 0; times < 3; times++) await kernel.prune({ ...MONTH, secrets: 'erase' })
    expect((await kernel.list()).items).toEqual([])
    expect(new Set(erased).size).toBe(1)
  })

  test('are erased by no prune that keeps the run, for a child that has not ended', async () => {
    const { clock, data, erased, kernel, start } = withSecrets()
    await start('r', -1)
    await leave(data, 'child', { parent: 'r', status: 'running' })
    clock.block(31 * DAY_MS)

    expect((await kernel.prune({ ...MONTH, secrets: 'erase' })).kept).toEqual([{ runId: 'r', reason: 'child' }])
    expect(erased).toEqual([])
  })
})

test('a removal whose answer was lost is told as one', async () => {
  let lost = false
  const { clock, kernel, write } = setup((store) => ({
    ...store,
    runs: {
      ...store.runs,
      remove: async (...args) => {
        const removed = await store.runs.remove(...args)
        if (lost) return removed
        lost = true
        throw new StoreError('UNKNOWN_OUTCOME', 'no answer')
      },
    },
  }))
  await write('r', 'text')
  clock.block(31 * DAY_MS)
  const pruning = kernel.prune(MONTH)
  await settled()
  await clock.advance(1000)

  expect(await pruning).toMatchObject({ removed: ['r'], artifacts: { removed: 1 } })
})

test('prunes that run at once remove each run once between them', async () => {
  const { clock, kernel, write, ids } = setup()
  for (let i = 0; i < 20; i++) await write(`r${i}`, `text ${i}`)
  clock.block(31 * DAY_MS)

  const reports = await Promise.all([kernel.prune(MONTH), kernel.prune(MONTH), kernel.prune(MONTH)])

  const removed = reports.flatMap((report) => report.removed)
  expect(removed.toSorted()).toEqual(Array.from({ length: 20 }, (_, i) => `r${i}`).toSorted())
  expect(reports.reduce((sum, { artifacts }) => sum + artifacts.removed, 0)).toBe(20)
  expect(await ids()).toEqual([])
})

test('5,000 runs are removed page by page, also behind thousands that are kept', { timeout: 60_000 }, async () => {
  const pages: number[] = []
  const { clock, data, kernel } = setup((store) =>
    recordCalls(store, [], (name, args) => {
      if (name === 'runs.list') pages.push((args[1] as { limit: number }).limit)
      return undefined
    }),
  )
  for (let i = 0; i < 5000; i++) await leave(data, `r${i}`)
  await leave(data, 'parent', { status: 'running' })
  clock.block(1)
  for (let i = 0; i < 1500; i++) await leave(data, `kept${i}`, { parent: 'parent' })
  clock.block(31 * DAY_MS)

  const removed: string[] = []
  for (let more = true; more;) {
    const report = await kernel.prune({ ...MONTH, artifacts: false })
    removed.push(...report.removed)
    expect(report.removed.length).toBeLessThanOrEqual(1000)
    expect(report.kept).toHaveLength(1000)
    expect(report.keptCount).toBe(1500)
    ;({ more } = report)
  }

  expect(new Set(removed).size).toBe(5000)
  expect(removed).toHaveLength(5000)
  expect(Math.max(...pages)).toBeLessThanOrEqual(200)
  expect(pages.length).toBeLessThan(80)
})

describe('a prune that erases secrets asks a few questions for each run of a family, however deep it is', () => {
  const DEPTH = 600
  const idOf = (depth: number) => `r${String(depth).padStart(4, '0')}`

  test.for([
    { atWork: 'the last one', living: DEPTH, kept: DEPTH },
    { atWork: 'the first one', living: 0, kept: DEPTH },
    { atWork: 'nobody', living: undefined, kept: 0 },
  ])('and $atWork is at work', async ({ living, kept }) => {
    const calls: string[] = []
    const { clock, data, kernel, ids } = setup((store) => recordCalls(store, calls))
    for (let depth = 0; depth <= DEPTH; depth++) {
      const status = depth === living ? 'running' : 'completed'
      await leave(data, idOf(depth), { status, ...(depth > 0 && { parent: idOf(depth - 1) }) })
      clock.block(1)
    }
    clock.block(31 * DAY_MS)

    const report = await kernel.prune({ ...MONTH, secrets: 'erase', artifacts: false })

    expect(report.keptCount).toBe(kept)
    expect(await ids()).toHaveLength(kept === 0 ? 0 : DEPTH + 1)
    const asked = calls.filter((name) => name === 'runs.list' || name === 'runs.find')
    expect(asked.length).toBeLessThan(5 * DEPTH)
  })
})

test('secrets stay when a child is started while the children are listed', async () => {
  let begin: (() => Promise<void>) | undefined
  const { clock, data, kernel } = setup((store) =>
    recordCalls(store, [], (name, args) => {
      const filter = args[0] as RunFilter
      if (name !== 'runs.list' || filter.parent !== 'r' || filter.statuses !== undefined) return undefined
      const begun = begin?.()
      begin = undefined
      return begun
    }),
  )
  await leave(data, 'r')
  clock.block(1)
  await leave(data, 'ended', { parent: 'r' })
  clock.block(31 * DAY_MS)
  begin = async () => leave(data, 'begun', { parent: 'r', status: 'running' })

  const report = await kernel.prune({ ...MONTH, secrets: 'erase' })

  expect(begin).toBeUndefined()
  expect(report.removed).toEqual([])
})

test('secrets stay when a child goes on as another run between two pages of the children', async () => {
  let goOn: (() => Promise<void>) | undefined
  const { clock, data, kernel } = setup((store) =>
    recordCalls(store, [], (name, args) => {
      const [filter, page] = args as [RunFilter, PageRequest]
      if (name !== 'runs.list' || filter.parent !== 'r' || page.cursor === undefined) return undefined
      const going = goOn?.()
      goOn = undefined
      return going
    }),
  )
  await leave(data, 'r')
  clock.block(1)
  await leave(data, 'oldest', { parent: 'r', status: 'continued', owes: [{ kind: 'start', seq: 1 }] })
  clock.block(1)
  for (let i = 0; i < 200; i++) await leave(data, `ended${i}`, { parent: 'r' })
  clock.block(31 * DAY_MS)
  goOn = async () => {
    await leave(data, derivedRunId('oldest', '\n'), { parent: 'r', status: 'running' })
    const claim = await data.runs.acquire('oldest', { owner: processOwner(), leaseMs: 1000 })
    const run = { status: 'continued', blockedOn: [], wakeAt: null, owes: [] } as const
    await data.runs.release(claim, { expectedHead: 1, run })
  }

  const report = await kernel.prune({ ...MONTH, secrets: 'erase' })

  expect(goOn).toBeUndefined()
  expect(report.removed).toEqual([])
})

describe('a prune that erases secrets keeps a run whose log cannot be read, and no other one', () => {
  const cutOff = (event: StoredEvent): StoredEvent => ({ ...event, body: event.body.slice(0, -1) })
  const answer = { type: 'StateUpdated', data: { payload: { $secret: 's', commitment: 'c' } } }

  test.for<[what: string, code: string, log: readonly StoredEvent[]]>([
    ['is damaged', 'CORRUPT_LOG', sealLog('other', [runStarted('left')]).map((event) => ({ ...event, runId: 'bad' }))],
    ['is of a later release', 'NEWER_FORMAT', sealLog('bad', [{ type: 'TimeTravelled', data: {} }])],
    [
      'is cut off',
      'CORRUPT_LOG',
      sealLog('bad', [runStarted('left'), answer]).map((event) => (event.seq === 2 ? cutOff(event) : event)),
    ],
  ])('as it %s', async ([, code, log]) => {
    const { clock, data, kernel } = setup()
    const create = { workflow: 'left', version: '1', tags: [], queue: 'default' }
    const run = { status: 'completed', blockedOn: [], wakeAt: null, create } as const
    await leave(data, 'older')
    clock.block(1)
    await data.events.append('bad', log, { expectedHead: 0, fencingToken: 0, run })
    clock.block(1)
    await leave(data, 'child', { parent: 'bad' })
    clock.block(31 * DAY_MS)

    const report = await kernel.prune({ ...MONTH, secrets: 'erase' })
    const kept = report.kept.filter(({ runId }) => runId === 'bad')

    expect(report.removed).toContain('older')
    expect(report).toMatchObject({ secretsErased: 0 })
    expect(kept).toMatchObject([{ runId: 'bad', reason: 'unreadable', error: { code, where: { runId: 'bad' } } }])
    expect((await kernel.prune(MONTH)).removed).toContain('bad')
  })
})

describe('an artifact that is passed on amid the prune that removes its run stays', () => {
  const passed = defineWorkflow(
    { name: 'passed', version: '1', input: z.any(), signals: { file: z.any() } },
    { step: ({ results }, next) => (results['file'] ? next.complete(null) : next.waitFor('file')) },
  )

  test.for(['start', 'enqueue', 'signal'] as const)('with a %s', async (how) => {
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    let pass: (() => Promise<unknown>) | undefined
    const store = recordCalls(data, [], (name) => {
      if (name !== 'artifacts.delete' || pass === undefined) return undefined
      const passing = pass()
      pass = undefined
      return passing.then(() => undefined)
    })
    const kernel = createKernel({ store, clock, workflows: [writing, passed] })
    await kernel.start(writing, { text: 'the file', end: 'completes' }, { runId: 'first' })
    const $artifact = contentId(Buffer.from('the file'))
    const file = { $artifact, size: 8, mediaType: 'text/plain' }
    await kernel.start(passed, null, { runId: 'waiting' })
    clock.block(40 * DAY_MS)
    pass = async () =>
      how === 'signal'
        ? kernel.signal('waiting', { name: 'file', value: { deep: [file] }, wait: false })
        : kernel.start(passed, { deep: [file] }, { runId: 'second', wait: how === 'start' })

    const report = await kernel.prune(MONTH)

    expect(report.removed).toEqual(['first'])
    expect(pass).toBeUndefined()
    expect(await data.artifacts.has($artifact)).toBe(true)
  })
})

test('secrets stay as long as a grandchild lives that they were passed on to', async () => {
  const keys = secretKeys({ current: 'k', keys: { k: new Uint8Array(32).fill(7) } })
  const input = secretSchema(z.string())
  const used: string[] = []
  const grandchild = defineWorkflow(
    {
      ...{ name: 'grandchild', version: '1', input },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
      actions: { revoke: { run: (token: string) => void used.push(token) } },
    },
    {
      step: (_, next) => next.interrupt('ask', null, { key: 'wait' }),
      cancel: ({ input: token, results }, next) => {
        if (!results['sure']) return next.interrupt('ask', null, { key: 'sure' })
        return results['revoke'] ? next.all([]) : next.run('revoke', token, { key: 'revoke' })
      },
    },
  )
  const child = defineWorkflow(
    { ...{ name: 'child', version: '1', input }, interrupts: { stop: { ask: z.null(), answer: z.null() } } },
    {
      step: ({ input: token, results }, next) => {
        const both = [next.child(grandchild, token, { key: 'g' }), next.interrupt('stop', null)]
        return results['stop'] ? next.complete(null) : next.all(both)
      },
    },
  )
  const parent = defineWorkflow(
    { name: 'parent', version: '1', input },
    {
      step: ({ input: token, results }, next) =>
        results['c'] ? next.complete(null) : next.child(child, token, { key: 'c' }),
    },
  )
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  const kernel = createKernel({ store, clock, workflows: [grandchild, child, parent], secrets: { keys } })
  await kernel.start(parent, secret('token'), { runId: 'p' })
  const idOf = async (workflow: string): Promise<string> =>
    (await store.runs.list({ workflow }, { limit: 1 })).items[0]?.runId ?? ''
  await kernel.resume(await idOf('child'), { key: 'stop', value: null })
  await settled()
  await kernel.run(await idOf('grandchild'))
  clock.block(40 * DAY_MS)

  const report = await kernel.prune({ ...MONTH, secrets: 'erase' })
  await kernel.resume(await idOf('grandchild'), { key: 'sure', value: null })

  expect(report).toMatchObject({ removed: [], secretsErased: 0 })
  expect(used).toEqual(['token'])
})
