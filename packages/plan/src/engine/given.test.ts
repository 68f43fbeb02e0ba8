import { createKernel } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { noBuild, testEngine } from '../testing/test-engine.ts'
import { fetchTransport } from '../transports/fetch-transport.ts'
import { fileTransport } from '../transports/file-transport.ts'
import { programTransport } from '../transports/program-transport.ts'
import { createEngine, type Engine } from './engine.ts'

const store = memoryStore()

/** Not made by what makes it, for whoever writes without types. */
const none = (value: unknown): never => value as never

describe('an engine is not made', () => {
  test.for<[what: string, options: unknown]>([
    ['of nothing', undefined],
    ['of a text', 'store'],
    ['without a store', {}],
    ['with a misspelt option', { store, plan: [] }],
    [
      'on a kernel that is given, with an option of another one',
      { store, kernel: createKernel({ store, workflows: [] }), leaseMs: 5 },
    ],
    ['on a kernel that is none', { store, kernel: {} }],
    ['on a kernel that is null', { store, kernel: null }],
    ['for plans that are no list', { store, plans: 'quote' }],
    ['for a plan that is null', { store, plans: [null] }],
    ['for a plan that is an id', { store, plans: ['quote'] }],
    ['with transports that are null', { store, transports: null }],
    ['with a transport in place of what makes one', { store, transports: { http: { call: () => null } } }],
    ['with an environment that is a text', { store, environment: 'HOME' }],
    ['with a resolver that is no function', { store, resolver: {} }],
    ['with a config that has a misspelt name', { store, config: { maxConcurency: 1 } }],
    ['with a config that is a text', { store, config: 'keep-going' }],
    ['with a provenance that is a text', { store, provenance: 'main' }],
    ['with a provenance that has a misspelt name', { store, provenance: { ...noBuild, commit: 'abc' } }],
    ['with ids in place of what makes them', { store, newId: 'run-1' }],
  ])('%s', ([, options]) => {
    expect(() => createEngine(none(options))).toThrow(expect.objectContaining(planError('INVALID_DEFINITION')) as Error)
  })
})

describe('a verb of the engine refuses', () => {
  const ask = approvalState({ id: 'ask' })
  const plan = definePlan({ id: 'asking', version: '1', states: [ask] })
  const refused = { name: 'StoreError', code: 'INVALID_ARGUMENT' }

  test.for<[what: string, call: (engine: Engine) => Promise<unknown>, error: object]>([
    ['to start what is no plan', async (e) => e.start(none('asking'), undefined), planError('INVALID_DEFINITION')],
    ['to start nothing', async (e) => e.start(none(undefined), undefined), planError('INVALID_DEFINITION')],
    ['a run id in place of options', async (e) => e.start(plan, undefined, none('r2')), refused],
    ['to start with a misspelt option', async (e) => e.start(plan, undefined, none({ confg: {} })), refused],
    ['to collect with a misspelt dryRun', async (e) => e.collect(none({ dryrun: true })), refused],
    ['to recover with a misspelt option', async (e) => e.recover(none({ concurency: 1 })), refused],
    [
      'an answer with a misspelt comment',
      async (e) => e.approve('r', ask, none({ approved: true, coment: '' })),
      refused,
    ],
    ['to fork with a misspelt option', async (e) => e.fork('r', none({ form: ask })), refused],
    ['to cancel with a misspelt option', async (e) => e.cancel('r', none({ reason: 'no', grace: 5 })), refused],
    ['to explain with a misspelt option', async (e) => e.explain('r', ask, none({ againts: 'r' })), refused],
    ['to follow with options that are null', async (e) => e.follow('r', none(null)), refused],
    ['to recover with a number', async (e) => e.recover(none(5)), refused],
    ['an answer that is a text', async (e) => e.approve('r', ask, none('ok')), refused],
    ['an answer that is not there', async (e) => e.approve('r', ask, none(undefined)), refused],
    [
      'to approve nothing',
      async (e) => e.approve('r', none(undefined), { approved: true }),
      planError('STATE_NOT_FOUND'),
    ],
    ['a settlement that is not there', async (e) => e.settle('r', ask, none(undefined)), refused],
    [
      'to settle what is null',
      async (e) => e.settle('r', none(null), { status: 'retry' }),
      planError('STATE_NOT_FOUND'),
    ],
    ['to cancel without a word', async (e) => e.cancel('r', none(undefined)), refused],
    ['the output of nothing', async (e) => e.output('r', none(undefined)), planError('STATE_NOT_FOUND')],
    ['to explain nothing', async (e) => e.explain('r', none(undefined)), planError('STATE_NOT_FOUND')],
    ['to explain against a text', async (e) => e.explain('r', ask, none('other')), refused],
    ['progress with options that are null', async (e) => Array.fromAsync(e.progress('r', none(null))), refused],
    ['to fork with a text', async (e) => e.fork('r', none('x')), refused],
    ['to fork from what is null', async (e) => e.fork('r', { from: none(null) }), planError('STATE_NOT_FOUND')],
    ['to fork with what is no plan', async (e) => e.fork('r', { plan: none({}) }), planError('INVALID_DEFINITION')],
    ['to collect with what is null', async (e) => e.collect(none(null)), refused],
    ['a grace that is a text', async (e) => e.collect({ graceMs: none('5') }), planError('INVALID_PARAMS')],
    [
      'a grace that no text can show',
      async (e) => e.collect({ graceMs: none(Symbol('5')) }),
      planError('INVALID_PARAMS'),
    ],
    ['to pin what is no list', async (e) => e.pin('n', none(null)), refused],
    ['a pin whose name no text can show', async (e) => e.pin(none(Symbol('n')), []), planError('INVALID_PARAMS')],
    ['a pin whose name is a number', async (e) => e.pin(none(5), []), planError('INVALID_PARAMS')],
    ['to take out a pin without a name', async (e) => e.unpin(none(Symbol('n'))), planError('INVALID_PARAMS')],
    ['to remake what no text can name', async (e) => e.remake('r', none(Symbol('ask'))), planError('NO_OUTPUT')],
  ])('%s, and writes nothing', async ([, call, error]) => {
    const engine = testEngine({ plans: [plan] })
    await engine.start(plan, undefined, { runId: 'r' })
    const { items: before } = await engine.kernel.list()

    await expect(call(engine)).rejects.toMatchObject(error)

    expect((await engine.kernel.list()).items).toEqual(before)
  })
})

test.for<[name: string, make: (options: never) => unknown, wrong: readonly unknown[]]>([
  ['fetch', fetchTransport, [undefined, { allow: 'https://a.example' }, { allow: [Symbol('a')], maxBytes: 5 }]],
  ['fetch', fetchTransport, [{ allow: ['https://a.example'], acceptStatus: [Symbol('404')] }]],
  ['fetch', fetchTransport, [{ allow: ['https://a.example'], maxBytes: Symbol('5') }]],
  ['fetch', fetchTransport, [{ allow: ['https://a.example'], headers: 'authorization: x' }]],
  ['file', fileTransport, [undefined, 'root', { root: 5 }, { root: '/', maxBytes: Symbol('5') }]],
  ['file', fileTransport, [{ root: '/', write: 'false' }]],
  [
    'program',
    programTransport,
    [undefined, { allow: '/bin/true' }, { allow: [5] }, { allow: ['/bin/true'], maxStdin: Symbol('5') }],
  ],
  [
    'program',
    programTransport,
    [
      { allow: ['/bin/true'], env: null },
      { allow: ['/bin/true'], env: { DEBUG: 1 } },
    ],
  ],
])('a %s transport is not made of what it cannot be made of', ([, make, wrong]) => {
  for (const options of wrong) {
    expect(() => make(none(options))).toThrow(expect.objectContaining(planError('INVALID_DEFINITION')) as Error)
  }
})

test.for<[name: string, make: (options: never) => unknown, options: object]>([
  ['fetchTransport', fetchTransport, { allow: ['https://a.example'], timeout: 5000 }],
  ['fileTransport', fileTransport, { root: '/', maxbytes: 10 }],
  ['programTransport', programTransport, { allow: ['/bin/true'], timeout: 5000 }],
])('%s refuses an option that there is not, and names those that there are', ([name, make, options]) => {
  const misspelt = Object.keys(options)[1]

  expect(() => make(none(options))).toThrow(`INVALID_DEFINITION: ${name} has no option "${misspelt}", only `)
})

describe('what is inherited, as by an instance of a class, is given like anything else', () => {
  const inheriting = <T extends object>(options: T): T => Object.create(options) as T
  let runs = 0
  const one = defineState({ id: 'one', output: z.int(), run: () => ++runs })
  const plan = definePlan({ id: 'inherits', version: '1', states: [one], output: one })

  test('to an engine, to start and to fork', async () => {
    const engine = createEngine(inheriting({ store: memoryStore(), provenance: noBuild, plans: [plan] }))

    await engine.start(plan, undefined, inheriting({ runId: 'r', tags: ['nightly'] }))
    const fork = await engine.fork('r', inheriting({ from: one, output: 70, as: 'f' }))

    expect(await engine.kernel.find('r')).toMatchObject({ tags: ['nightly'] })
    expect(fork).toMatchObject({ runId: 'f', output: 70 })
    expect(runs).toBe(1)
  })

  test('as a store', async () => {
    const engine = createEngine({ store: inheriting(memoryStore()), provenance: noBuild })

    expect(await engine.start(plan, undefined)).toMatchObject({ status: 'completed' })
    expect(await engine.collect()).toMatchObject({ artifacts: [] })
  })
})

describe('ids of runs that are given none', () => {
  const one = defineState({ id: 'one', output: z.int(), run: () => 1 })
  const plan = definePlan({ id: 'numbered', version: '1', states: [one], output: one })

  test('come from newId on a kernel that is given', async () => {
    const given = memoryStore()
    const kernel = createKernel({ store: given, workflows: [] })
    let ids = 0
    const engine = createEngine({ kernel, store: given, provenance: noBuild, newId: () => `run-${++ids}` })

    const { runId } = await engine.start(plan, undefined)
    const named = await engine.start(plan, undefined, { runId: 'mine' })
    const fork = await engine.fork(runId)

    expect([runId, named.runId, fork.runId]).toEqual(['run-1', 'mine', 'run-2'])
  })

  test('come from newId on a kernel of the engine’s own', async () => {
    const engine = testEngine({ newId: () => 'run-1' })

    expect(await engine.start(plan, undefined)).toMatchObject({ runId: 'run-1' })
  })

  test('are the kernel’s by default: UUIDs in the order of time', async () => {
    const { runId } = await testEngine().start(planOf([namedState('a')]), undefined as never)

    expect(runId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  })
})
