import { contentId, StoreError, type ContentId, type Json, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ArtifactRef } from '../artifacts/artifact-ref.ts'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** A reference to what need not be there: a log may name anything. */
function refTo(text: string): ArtifactRef {
  return { $artifact: contentId(text), size: text.length, mediaType: 'text/plain' }
}

function refs(count: number, prefix = 'ref'): ArtifactRef[] {
  return Array.from({ length: count }, (_, n) => refTo(`${prefix} ${n}`))
}

function idsOf(list: readonly ArtifactRef[]): ContentId[] {
  return list.map(({ $artifact }) => $artifact)
}

/** Those that a run refers to, asked for in parts as the port wants it. */
async function referred(store: Store, ids: readonly ContentId[]): Promise<ContentId[]> {
  const found: ContentId[] = []
  for (let from = 0; from < ids.length; from += 1000) {
    found.push(...(await store.runs.referred(ids.slice(from, from + 1000))))
  }
  return found
}

/** What each append says of artifacts. */
function toldArtifacts(store: Store): { readonly store: Store; readonly told: (readonly string[] | undefined)[] } {
  const told: (readonly string[] | undefined)[] = []
  const watched = recordCalls(store, [], (name, args) => {
    if (name === 'events.append') told.push((args[2] as { run: { artifacts?: readonly string[] } }).run.artifacts)
    return undefined
  })
  return { store: watched, told }
}

/** Does what `act` says once, and then ends with `end` of its result. */
function acting(act: (input: unknown) => Json, end: (output: unknown) => unknown = (output) => output) {
  return defineWorkflow(
    { name: 'acting', version: '1', input: z.json(), actions: { act: { run: act } } },
    {
      step: ({ input, results }, next) => {
        const result = results['act']
        if (result === undefined) return next.run('act', input)
        return next.complete(result.status === 'succeeded' ? end(result.output) : result)
      },
    },
  )
}

describe('the row of a run', () => {
  test('is told of the artifacts that each append refers to, each once, and of nothing where there are none', async () => {
    const { store, told } = toldArtifacts(memoryStore())
    const [a, b] = [refTo('a'), refTo('b')]
    const workflow = acting(
      () => [a, b, a],
      () => null,
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.start(workflow, { deep: [a] }, { runId: 'r' })

    expect(told).toEqual([idsOf([a]), idsOf([a, b])])
    expect(await store.runs.referred(idsOf([refTo('c'), b, a]))).toEqual(idsOf([b, a]))
  })

  test('is told nothing when its log names no artifact', async () => {
    const { store, told } = toldArtifacts(memoryStore())
    const workflow = acting(() => JSON.stringify(refTo('only a text')))
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.start(workflow, null, { runId: 'r' })

    expect(told).toEqual([undefined, undefined])
  })

  test('is told of what stands in facts, signals, questions, answers and events of its own', async () => {
    const store = memoryStore()
    const [fact, signal, question, answer, state] = refs(5)
    const workflow = defineWorkflow(
      {
        ...{ name: 'talking', version: '1', input: z.null() },
        signals: { go: z.json() },
        interrupts: { ask: { ask: z.json(), answer: z.json() } },
        actions: {
          look: {
            run: async (_: null, ctx) => {
              await ctx.fact('f', () => fact)
              return null
            },
          },
        },
        events: { noted: z.json() },
        initialState: () => ({ seen: [] as string[] }),
      },
      {
        reduce: ({ seen }, event) => ({ seen: [...seen, event.type] }),
        step: ({ seen }, next) => {
          if (!seen.includes('DomainEvent')) {
            return next.emit({ type: 'DomainEvent', name: 'noted', payload: { ...state } })
          }
          if (!seen.includes('ActionSucceeded')) return next.run('look', null)
          if (!seen.includes('SignalDelivered')) return next.waitFor('go')
          return seen.includes('Resumed') ? next.complete(null) : next.interrupt('ask', { ...question })
        },
      },
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.start(workflow, null, { runId: 'r' })
    await kernel.signal('r', { name: 'go', value: [signal] })
    await kernel.resume('r', { key: 'ask', value: { of: answer } })

    expect(await typesOf(store, 'r')).toContain('Completed')
    expect(await store.runs.referred(idsOf(refs(6)))).toEqual(idsOf(refs(5)))
  })

  test.for(['at once', 'later'] as const)('is told of its input when it is started to be driven %s', async (when) => {
    const store = memoryStore()
    const workflow = acting(() => null)
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.start(workflow, refTo('input'), { runId: 'r', wait: when === 'at once' })

    expect((await store.runs.list({ artifact: contentId('input') }, { limit: 9 })).items).toMatchObject([
      { runId: 'r' },
    ])
  })

  test('of a child, and of a run that goes on as another one, is told of what it is given', async () => {
    const store = memoryStore()
    const child = acting(() => refTo('made by the child'))
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.json() },
      {
        step: ({ input, results }, next) => {
          if (input === null) return next.complete(null)
          const made = results['acting']
          return made === undefined ? next.child(child, { given: refTo('given') }) : next.continueAsNew(null)
        },
      },
    )
    const kernel = createKernel({ store, workflows: [parent, child] })
    const runsOf = async (text: string): Promise<string[]> => {
      const { items } = await store.runs.list({ artifact: contentId(text) }, { limit: 9 })
      return items.map(({ workflow }) => workflow).sort()
    }

    await kernel.start(parent, { begun: refTo('begun') }, { runId: 'r' })

    expect(await runsOf('begun')).toEqual(['parent'])
    expect(await runsOf('given')).toEqual(['acting', 'parent'])
    expect(await runsOf('made by the child')).toEqual(['acting', 'parent'])
  })
})

describe('more artifacts than an append can carry', () => {
  test('in an output fail the action, with the remedy', async () => {
    const store = memoryStore()
    const workflow = acting(() => refs(1001))
    const kernel = createKernel({ store, workflows: [workflow] })

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    const message = expect.stringContaining('put their list into an artifact of its own') as string
    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'LIMIT_EXCEEDED', message } } })
  })

  test('in an input keep the run from being started', async () => {
    const store = memoryStore()
    const workflow = acting(() => null)
    const kernel = createKernel({ store, workflows: [workflow] })

    for (const wait of [true, false]) {
      const starting = kernel.start(workflow, refs(1001), { runId: 'r', wait })
      await expect(starting).rejects.toMatchObject(storeError('LIMIT_EXCEEDED'))
    }

    expect(await store.runs.find('r')).toBeUndefined()
  })

  test('in an input and the first decisions together keep the run from being started', async () => {
    const store = memoryStore()
    const workflow = defineWorkflow(
      { name: 'first', version: '1', input: z.json() },
      { step: (_, next) => next.complete(refs(900, 'other')) },
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    const starting = kernel.start(workflow, refs(900), { runId: 'r' })

    await expect(starting).rejects.toMatchObject(storeError('LIMIT_EXCEEDED'))
    expect(await store.runs.find('r')).toBeUndefined()
  })

  test('in a fact reject whoever asks for it, and are not recorded', async () => {
    const store = memoryStore()
    const workflow = defineWorkflow(
      {
        ...{ name: 'asking', version: '1', input: z.null() },
        actions: {
          ask: {
            run: async (_: null, { fact }) => {
              const refused: unknown = await fact('f', () => refs(1001)).catch((error: unknown) => error)
              return (refused as { code: string }).code
            },
          },
        },
      },
      { step: ({ results }, next) => (results['ask'] ? next.complete(results['ask']) : next.run('ask', null)) },
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    expect(await kernel.start(workflow, null, { runId: 'r' })).toMatchObject({ output: { output: 'LIMIT_EXCEEDED' } })
  })

  test('in a signal set it aside', async () => {
    const store = memoryStore()
    const workflow = defineWorkflow(
      { name: 'waiting', version: '1', input: z.null(), signals: { go: z.json() } },
      { step: ({ results }, next) => (results['go'] ? next.complete(null) : next.waitFor('go')) },
    )
    const kernel = createKernel({ store, workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'r' })

    const signaling = kernel.signal('r', { name: 'go', value: refs(1001) })

    await expect(signaling).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(await kernel.run('r')).toMatchObject({ status: 'blocked' })
  })

  test('of several results go into several appends', async () => {
    const { store, told } = toldArtifacts(memoryStore())
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => (release = resolve))
    let waiting = 0
    const workflow = defineWorkflow(
      {
        ...{ name: 'many', version: '1', input: z.null() },
        actions: {
          make: {
            run: async (n: number) => {
              if (++waiting === 4) release()
              await gate
              return refs(600, `${n}`)
            },
          },
        },
      },
      {
        step: ({ results }, next) =>
          Object.keys(results).length === 4
            ? next.complete(null)
            : next.all([0, 1, 2, 3].map((n) => next.run('make', n, { key: `make:${n}` }))),
      },
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    await kernel.start(workflow, null, { runId: 'r' })

    const ids = [0, 1, 2, 3].flatMap((n) => idsOf(refs(600, `${n}`)))
    expect(await referred(store, ids)).toEqual(ids)
    expect(told.map((list) => list?.length ?? 0)).toEqual([0, 600, 600, 600, 600])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('of a result and of what is decided on it go into two appends, and the run goes on', async () => {
    const { store, told } = toldArtifacts(memoryStore())
    const workflow = acting(
      () => refs(600),
      () => refs(600, 'end'),
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(told.map((list) => list?.length ?? 0)).toEqual([0, 600, 600])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('of several requests go into two turns, and the run goes on', async () => {
    const { store, told } = toldArtifacts(memoryStore())
    const workflow = defineWorkflow(
      {
        ...{ name: 'wide', version: '1', input: z.null() },
        actions: { use: { run: (given: readonly ArtifactRef[]) => given.length } },
      },
      {
        step: ({ results }, next) =>
          Object.keys(results).length === 3
            ? next.complete(null)
            : next.all([0, 1, 2].map((n) => next.run('use', refs(500, `${n}`), { key: `use:${n}` }))),
      },
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(told.map((list) => list?.length ?? 0).filter((count) => count > 0)).toEqual([1000, 500])
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })

  test('in one decision park the run, which keeps what came in', async () => {
    const store = memoryStore()
    const workflow = acting(
      () => refs(600),
      () => refs(1001, 'end'),
    )
    const kernel = createKernel({ store, workflows: [workflow] })

    const starting = kernel.start(workflow, null, { runId: 'r' })

    await expect(starting).rejects.toMatchObject(storeError('LIMIT_EXCEEDED'))
    expect(await typesOf(store, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded'])
    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'LIMIT_EXCEEDED' } })
    expect(await store.runs.referred(idsOf(refs(600)))).toHaveLength(600)
  })
})

describe('a fork', () => {
  test('refers to all that its copied prefix refers to, in as many appends as it takes', async () => {
    const { store, told } = toldArtifacts(memoryStore())
    const all = refs(2500)
    const workflow = defineWorkflow(
      {
        ...{ name: 'long', version: '1', input: z.null() },
        actions: { make: { run: (n: number) => all.slice(n * 500, n * 500 + 500) } },
      },
      {
        step: ({ results }, next) => {
          const done = Object.keys(results).length
          return done === 5 ? next.complete(null) : next.run('make', done, { key: `make:${done}` })
        },
      },
    )
    const kernel = createKernel({ store, workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'r' })
    const { head } = await kernel.get('r')
    told.length = 0

    const forked = await kernel.fork('r', { at: head - 1, as: 'f', wait: false })

    expect(forked).toMatchObject({ runId: 'f' })
    expect(told.map((list) => list?.length)).toEqual([1000, 1000, 500])
    expect(await store.runs.remove('r', { ifTerminal: true })).toBe(true)
    expect(await referred(store, idsOf(all))).toEqual(idsOf(all))
    expect(await kernel.get('f')).not.toHaveProperty('lease')
    expect(await kernel.run('f')).toMatchObject({ status: 'completed' })
  })

  test('says so when another process takes it before all is told', async () => {
    const memory = memoryStore()
    const workflow = defineWorkflow(
      { name: 'given', version: '1', input: z.json(), signals: { more: z.json() } },
      { step: ({ results }, next) => (results['more'] ? next.complete(null) : next.waitFor('more')) },
    )
    const kernel = createKernel({ store: memory, workflows: [workflow] })
    await kernel.start(workflow, refs(900, 'given'), { runId: 'r' })
    await kernel.signal('r', { name: 'more', value: refs(900, 'more') })
    let appends = 0
    const losing = recordCalls(memory, [], (name) => {
      if (name !== 'events.append' || ++appends < 2) return undefined
      return Promise.reject(new StoreError('FENCED', 'taken on purpose'))
    })

    const forking = createKernel({ store: losing, workflows: [workflow] }).fork('r', { at: 3, as: 'f' })

    await expect(forking).rejects.toMatchObject({ ...kernelError('LEASE_LOST'), where: { runId: 'f' } })
    expect(await kernel.get('f')).not.toHaveProperty('lease')
    expect(await kernel.run('f')).toMatchObject({ status: 'completed' })
  })

  test('is refused when its edit brings in an artifact that is not there, before anything is written', async () => {
    const store = memoryStore()
    const workflow = acting(() => refTo('gone long ago'))
    const kernel = createKernel({ store, workflows: [workflow] })
    await kernel.start(workflow, null, { runId: 'r' })
    const kept = await kernel.artifacts.put(Buffer.from('kept'))

    const forking = kernel.fork('r', { at: 3, as: 'f', edit: { output: [refTo('kept'), refTo('missing')] } })
    await expect(forking).rejects.toMatchObject({ ...storeError('ARTIFACT_NOT_FOUND'), where: { runId: 'r', seq: 3 } })
    expect(await store.runs.find('f')).toBeUndefined()

    // What the copied log names already is no news.
    await kernel.fork('r', { at: 3, as: 'f', edit: { output: [refTo('kept'), refTo('gone long ago')] } })
    expect(await store.runs.referred([kept])).toEqual([kept])
    expect(await dataOf(store, 'f', 'RunForked')).toMatchObject([{ edited: true }])
  })
})
