import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel, type Kernel } from './kernel.ts'

const simple = defineWorkflow(
  { name: 'simple', version: '1', input: z.null() },
  { step: (_, next) => next.complete('done') },
)

async function setup(): Promise<Kernel> {
  const kernel = createKernel({ store: memoryStore(), workflows: [simple] })
  await kernel.start(simple, null, { runId: 'r' })
  return kernel
}

const odd = [
  ['a symbol', Symbol('s')],
  ['a BigInt', 5n],
  ['an object of nothing', Object.create(null)],
  ['a text of digits', '5'],
] as const

/** What a number is given to. */
const numbers: Readonly<Record<string, (kernel: Kernel, given: never) => unknown>> = {
  concurrency: (kernel, concurrency) => kernel.recover({ concurrency }),
  olderThanMs: (kernel, olderThanMs) => kernel.prune({ olderThanMs }),
  limit: (kernel, limit) => kernel.prune({ olderThanMs: 0, limit }),
  deadlineMs: (kernel, deadlineMs) => kernel.start(simple, null, { deadlineMs }),
  startAt: (kernel, startAt) => kernel.start(simple, null, { startAt }),
  at: (kernel, at) => kernel.fork('r', { at }),
  seq: (kernel, seq) => kernel.stateAt('r', seq),
  from: (kernel, from) => kernel.watch('r', { from }).next(),
}

test.for(odd.flatMap(([what, value]) => Object.keys(numbers).map((name) => [what, name, value] as const)))(
  '%s for the number %s is refused, and can be told of',
  async ([, name, value]) => {
    const kernel = await setup()

    await expect(numbers[name]!(kernel, value as never)).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  },
)

test.for(odd)('%s for a limit of the kernel is refused', ([, depth]) => {
  expect(() => createKernel({ store: memoryStore(), workflows: [], limits: { depth: depth as never } })).toThrow(
    expect.objectContaining(kernelError('INVALID_DEFINITION')),
  )
})

test.for(odd)('%s is no way in which runs have ended, and no way to go about their secrets', async ([, value]) => {
  const kernel = await setup()
  const prune = { olderThanMs: 0 }

  await expect(kernel.prune({ ...prune, secrets: value as never })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  await expect(kernel.prune({ ...prune, statuses: [value as never] })).rejects.toMatchObject(
    kernelError('INVALID_INPUT'),
  )
  await expect(kernel.prune({ ...prune, statuses: 'failed' as never })).rejects.toMatchObject(
    storeError('INVALID_ARGUMENT'),
  )
})

type AnyVerb = (kernel: Kernel, options: never) => unknown

const optional: Readonly<Record<string, AnyVerb>> = {
  start: (kernel, options) => kernel.start(simple, null, options),
  run: (kernel, options) => kernel.run('r', options),
  follow: (kernel, options) => kernel.follow('r', options),
  recover: (kernel, options) => kernel.recover(options),
  replay: (kernel, options) => kernel.replay('r', options),
  replayFromSnapshot: (kernel, options) => kernel.replayFromSnapshot('r', options),
  stateAt: (kernel, options) => kernel.stateAt('r', 1, options),
  verify: (kernel, options) => kernel.verify('r', options),
  list: (kernel, options) => kernel.list(options),
  'list a page': (kernel, options) => kernel.list({}, options),
  listInterrupts: (kernel, options) => kernel.listInterrupts(options),
  'listInterrupts a page': (kernel, options) => kernel.listInterrupts({}, options),
  watch: (kernel, options) => kernel.watch('r', options).next(),
  executionLog: (kernel, options) => kernel.executionLog('r', options).next(),
  exportEvidence: (kernel, options) => kernel.exportEvidence('r', options).next(),
}

const needed: Readonly<Record<string, AnyVerb>> = {
  resume: (kernel, options) => kernel.resume('r', options),
  signal: (kernel, options) => kernel.signal('r', options),
  cancel: (kernel, options) => kernel.cancel('r', options),
  settle: (kernel, options) => kernel.settle('r', options),
  fork: (kernel, options) => kernel.fork('r', options),
  migrate: (kernel, options) => kernel.migrate('r', options),
  prune: (kernel, options) => kernel.prune(options),
}

const given = Object.entries({ ...optional, ...needed }).flatMap(([name, verb]) =>
  [null, 'order-42', 5, []].map((options) => [name, options, verb] as const),
)
const left = Object.entries(needed).map(([name, verb]) => [name, undefined, verb] as const)

test.for([...given, ...left])('%s refuses %j where it takes options', async ([, options, verb]) => {
  const kernel = await setup()

  await expect(verb(kernel, options as never)).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
})

test.for(Object.entries(optional))('%s needs no options', async ([, verb]) => {
  const kernel = await setup()

  await expect(verb(kernel, undefined as never)).resolves.toBeDefined()
})

test.for(Object.entries({ ...optional, ...needed }))('%s refuses an option that there is not', async ([, verb]) => {
  const kernel = await setup()

  const calling = verb(kernel, { misspelt: true } as never)

  await expect(calling).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  await expect(calling).rejects.toThrow('has no option "misspelt", only ')
})

test('a fork whose reuse is misspelt executes nothing', async () => {
  const kernel = await setup()

  const forking = kernel.fork('r', { at: 1, as: 'f', resue: true } as never)

  await expect(forking).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  expect(await kernel.find('f')).toBeUndefined()
})

test.for([{ delay: 60_000 }, { deadlineMS: 5, wait: false }])('no run is started with %j', async (options) => {
  const kernel = createKernel({ store: memoryStore(), workflows: [simple] })

  await expect(kernel.start(simple, null, { runId: 'r', ...options })).rejects.toMatchObject(
    kernelError('INVALID_INPUT'),
  )
  expect(await kernel.find('r')).toBeUndefined()
})

test.for([null, {}, 'stop', { aborted: false }])('%j is no signal that could end a wait', async (given) => {
  const kernel = await setup()
  const signal = given as AbortSignal

  await expect(kernel.follow('r', { signal })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  await expect(kernel.watch('r', { signal }).next()).rejects.toMatchObject(kernelError('INVALID_INPUT'))
})

test.for(['vip', 5, {}, new Set(['vip'])])('no run is started with %j as its tags', async (tags) => {
  const kernel = createKernel({ store: memoryStore(), workflows: [simple] })

  await expect(kernel.start(simple, null, { runId: 'r', tags: tags as never })).rejects.toMatchObject(
    storeError('INVALID_ARGUMENT'),
  )
  expect(await kernel.find('r')).toBeUndefined()
})

test.for([...odd, ['a number', 1], ['null', null]] as const)('%s is no version to fork into', async ([, version]) => {
  const kernel = await setup()
  const isText = typeof version === 'string'

  await expect(kernel.fork('r', { at: 1, as: 'f', version: version as never })).rejects.toMatchObject(
    isText ? kernelError('WORKFLOW_MISSING') : storeError('INVALID_ARGUMENT'),
  )
  expect(await kernel.find('f')).toBeUndefined()
})

test.for(['true', 1, 0, null])(
  'a fork does nothing when its reuse is %j, which is neither true nor false',
  async (reuse) => {
    const kernel = await setup()

    const forking = kernel.fork('r', { at: 1, as: 'f', reuse: reuse as never })

    await expect(forking).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    expect(await kernel.find('f')).toBeUndefined()
  },
)

test.for(odd)('%s is no page of interrupts, and no kind of them unless it is a text', async ([, value]) => {
  const kernel = await setup()
  const kind = value as string

  await expect(kernel.listInterrupts({}, { limit: value as never })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  const listing = kernel.listInterrupts({ kind })
  if (typeof kind === 'string') expect((await listing).items).toEqual([])
  else await expect(listing).rejects.toMatchObject(storeError('INVALID_ARGUMENT'))
})

test.for([true, 'export', null])('a prune removes nothing when %j is to be done before', async (before) => {
  const kernel = await setup()

  await expect(kernel.prune({ olderThanMs: 0, before: before as never })).rejects.toMatchObject(
    kernelError('INVALID_INPUT'),
  )
  expect(await kernel.find('r')).toBeDefined()
})
