import { contentId, StoreError, type ArtifactStore, type Json, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ActionArtifacts } from '../artifacts/action-artifacts.ts'
import type { ArtifactRef } from '../artifacts/artifact-ref.ts'
import { createKernel, type Kernel } from '../kernel/kernel.ts'
import { secret } from '../secrets/secret.ts'
import { secretKeys } from '../secrets/secret-keys.ts'
import { secretSchema } from '../secrets/secret-schema.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import type { ActionContext } from '../workflow/action.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'

type Handler = (ctx: ActionContext) => Json | Promise<Json>

/** One action, whose result is the run's. */
function making(run: Handler, timeoutMs?: number): Workflow<null> {
  return defineWorkflow(
    {
      ...{ name: 'making', version: '1', input: z.null() },
      actions: { make: { run: (_: null, ctx) => run(ctx), ...(timeoutMs !== undefined && { timeoutMs }) } },
    },
    { step: ({ results }, next) => (results['make'] ? next.complete(results['make']) : next.run('make', null)) },
  )
}

interface Made {
  readonly store: Store
  readonly kernel: Kernel
  /** What the handler answered, or how it failed. */
  readonly result: { readonly output?: Json; readonly error?: { readonly message: string; readonly code?: string } }
}

async function made(run: Handler, store: Store = memoryStore(), artifacts?: ArtifactStore): Promise<Made> {
  const workflow = making(run)
  const kernel = createKernel({ store, workflows: [workflow], ...(artifacts && { artifacts }) })
  const outcome = await kernel.start(workflow, null, { runId: 'r' })
  return { store, kernel, result: (outcome as unknown as { output: Made['result'] }).output }
}

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const text of texts) yield Promise.resolve(Buffer.from(text))
}

/** Artifacts of which every put is made, and then loses its answer, as often as said. */
function losingAnswers(store: ArtifactStore, times: number): ArtifactStore & { readonly puts: () => number } {
  let puts = 0
  return {
    ...store,
    puts: () => puts,
    put: async (content, options) => {
      const id = await store.put(content, options)
      if (++puts <= times) throw new StoreError('UNKNOWN_OUTCOME', 'lost on purpose')
      return id
    },
  }
}

describe('an action', () => {
  test('reads artifacts that a store hands out as instances of a class', async () => {
    const store = memoryStore()
    const id = await store.artifacts.put(Buffer.from('bytes'))
    const get: ArtifactStore['get'] = async (each) => Object.create(await store.artifacts.get(each)) as never

    const { result } = await made(
      async ({ artifacts }) => {
        const stored = await artifacts.get(id)
        const streamed = await Array.fromAsync(stored.stream())
        return [stored.id, Buffer.from(await stored.bytes()).toString(), Buffer.concat(streamed).toString()]
      },
      store,
      { ...store.artifacts, get },
    )

    expect(result.output).toEqual([id, 'bytes', 'bytes'])
  })

  test.for<[string, (put: ActionArtifacts['put']) => Promise<ArtifactRef>, ArtifactRef, string]>([
    [
      'bytes',
      (put) => put(Buffer.from('grün')),
      { $artifact: contentId('grün'), size: 5, mediaType: 'application/octet-stream' },
      'grün',
    ],
    [
      'a text',
      (put) => put('grün'),
      { $artifact: contentId('grün'), size: 5, mediaType: 'text/plain;charset=utf-8' },
      'grün',
    ],
    [
      'a stream',
      (put) => put(chunks('a', '', 'bc'), { mediaType: 'text/csv' }),
      { $artifact: contentId('abc'), size: 3, mediaType: 'text/csv' },
      'abc',
    ],
    ['nothing', (put) => put(''), { $artifact: contentId(''), size: 0, mediaType: 'text/plain;charset=utf-8' }, ''],
  ])('puts %s, and its run refers to it', async ([, put, expected, text]) => {
    const { result, store, kernel } = await made(({ artifacts }) => put(artifacts.put))

    expect(result.output).toEqual(expected)
    const stored = await kernel.artifacts.get(expected.$artifact)
    expect([stored.mediaType, Buffer.from(await stored.bytes()).toString()]).toEqual([expected.mediaType, text])
    expect(await store.runs.referred([expected.$artifact])).toEqual([expected.$artifact])
  })

  test('puts equal values as the same artifact, and reads them', async () => {
    const { result } = await made(async ({ artifacts }) => {
      const a = await artifacts.putJson({ b: [1, -0], a: 'ä' })
      const b = await artifacts.putJson({ a: 'ä', b: [1, 0] })
      const { size } = await artifacts.get(a)
      return { a, b, size, byRef: await artifacts.json(a), byId: await artifacts.json(b.$artifact) }
    })

    const text = '{"a":"ä","b":[1,0]}'
    const ref = { $artifact: contentId(text), size: Buffer.byteLength(text), mediaType: 'application/json' }
    const value = { a: 'ä', b: [1, 0] }
    expect(result.output).toEqual({ a: ref, b: ref, size: ref.size, byRef: value, byId: value })
  })

  test('reads an artifact in chunks', async () => {
    const { result } = await made(async ({ artifacts }) => {
      const stored = await artifacts.get(await artifacts.put('x'.repeat(3_000_000)))
      return (await Array.fromAsync(stored.stream())).reduce((sum, { byteLength }) => sum + byteLength, 0)
    })

    expect(result.output).toBe(3_000_000)
  })

  test('keeps and reads artifacts elsewhere when the kernel is given another store for them', async () => {
    const other = memoryStore()

    const { store, kernel, result } = await made(({ artifacts }) => artifacts.put('a'), memoryStore(), other.artifacts)

    const { $artifact } = result.output as ArtifactRef
    expect(kernel.artifacts).toBe(other.artifacts)
    expect([await store.artifacts.has($artifact), await other.artifacts.has($artifact)]).toEqual([false, true])
    expect(await store.runs.referred([$artifact])).toEqual([$artifact])
  })

  test.for<[string, (artifacts: ActionArtifacts) => Promise<unknown>, string]>([
    ['half a surrogate pair', ({ put }) => put('\ud800'), 'INVALID_INPUT'],
    ['a number', ({ put }) => put(7 as never), 'INVALID_INPUT'],
    ['a list of texts', ({ put }) => put(['a'].values() as never), 'INVALID_INPUT'],
    ['a media type of no length', ({ put }) => put('a', { mediaType: '' }), 'INVALID_ARGUMENT'],
    ['a value that JSON would lose', ({ putJson }) => putJson({ at: new Date(0) }), 'NOT_JSON'],
    ['no reference', ({ get }) => get({} as never), 'INVALID_INPUT'],
    ['a name that is no id', ({ json }) => json('sha256:00'), 'INVALID_INPUT'],
    ['an artifact that is not there', ({ get }) => get(contentId('nobody')), 'ARTIFACT_NOT_FOUND'],
    ['bytes that are no JSON', async ({ put, json }) => json(await put('{')), 'INVALID_INPUT'],
    ['bytes that are no text', async ({ put, json }) => json(await put(Buffer.of(0x22, 0xff, 0x22))), 'INVALID_INPUT'],
  ])('is told when it gives %s', async ([, act, code]) => {
    const { result } = await made(async ({ artifacts }) => {
      await act(artifacts)
      return null
    })

    expect(result.error).toMatchObject({ code })
  })

  test('is told of its run and its key', async () => {
    let caught: unknown
    await made(async ({ artifacts }) => {
      caught = await artifacts.put(7 as never).catch((error: unknown) => error)
      return null
    })

    expect(caught).toMatchObject({ code: 'INVALID_INPUT', where: { runId: 'r', key: 'make' } })
  })

  test('gets what its stream throws, and nothing is kept', async () => {
    const store = memoryStore()
    const breaking = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield* chunks('a')
      throw new Error('the source broke')
    }

    const { result } = await made(({ artifacts }) => artifacts.put(breaking()), store)

    expect(result.error?.message).toBe('the source broke')
    expect((await store.artifacts.list({}, { limit: 9 })).items).toEqual([])
  })

  test.for(['bytes', 'a stream'] as const)('does not notice that the answer to a put of %s was lost', async (what) => {
    const store = memoryStore()
    const losing = losingAnswers(store.artifacts, 1)

    const { result } = await made(
      ({ artifacts }) => artifacts.put(what === 'bytes' ? Buffer.from('abc') : chunks('a', 'bc')),
      store,
      losing,
    )

    expect(result.output).toMatchObject({ $artifact: contentId('abc'), size: 3 })
    expect(losing.puts()).toBe(what === 'bytes' ? 2 : 1)
  })

  test('is told that a stream was not kept when its answer was lost and nothing is there', async () => {
    const store = memoryStore()
    const deaf: ArtifactStore = {
      ...store.artifacts,
      put: () => Promise.reject(new StoreError('UNKNOWN_OUTCOME', 'nothing arrived')),
    }

    const { result } = await made(({ artifacts }) => artifacts.put(chunks('a')), store, deaf)

    expect(result.error).toMatchObject({ code: 'UNKNOWN_OUTCOME' })
  })

  test.for<{ what: string; content: (token: string) => string | Uint8Array | AsyncIterable<Uint8Array> }>([
    { what: 'a text', content: (token) => `token=${token}` },
    { what: 'bytes, in base64', content: (token) => Buffer.from(Buffer.from(token).toString('base64')) },
    { what: 'a stream, across its chunks', content: (token) => inPieces(Buffer.from(`token=${token}`), 3) },
  ])('is refused $what with a secret of its input, and nothing is kept', async ({ content }) => {
    const store = memoryStore()
    const workflow = defineWorkflow(
      {
        ...{ name: 'leaking', version: '1', input: z.object({ token: secretSchema(z.string()) }) },
        actions: { leak: { run: async ({ token }: { token: string }, ctx) => ctx.artifacts.put(content(token)) } },
      },
      { step: ({ input }, next) => next.run('leak', input) },
    )
    await using kernel = createKernel({
      ...{ store, workflows: [workflow], onWarning: () => undefined },
      secrets: { keys: secretKeys({ current: 'k', keys: { k: new Uint8Array(32).fill(7) } }) },
    })

    const outcome = await kernel.start(workflow, { token: secret('s3cret-token') })

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'INVALID_INPUT' } })
    expect(JSON.stringify(outcome)).not.toContain('s3cret-token')
    expect((await store.artifacts.list({}, { limit: 10 })).items).toEqual([])
  })

  test('has a secret of its input taken out of the JSON that it puts', async () => {
    const workflow = defineWorkflow(
      {
        ...{ name: 'hiding', version: '1', input: z.object({ token: secretSchema(z.string()) }) },
        actions: { hide: { run: ({ token }: { token: string }, { artifacts }) => artifacts.putJson({ seen: token }) } },
      },
      { step: ({ input, results }, next) => (results['hide'] ? next.complete(null) : next.run('hide', input)) },
    )
    const warnings: Error[] = []
    const kernel = createKernel({
      ...{ store: memoryStore(), workflows: [workflow] },
      secrets: { keys: secretKeys({ current: 'k', keys: { k: new Uint8Array(32).fill(7) } }) },
      onWarning: (warning) => warnings.push(warning),
    })

    await kernel.start(workflow, { token: secret('s3cret-token') })

    const [row] = (await kernel.artifacts.list({}, { limit: 9 })).items
    const text = Buffer.from(await (await kernel.artifacts.get(row!.id)).bytes()).toString()
    expect(text).not.toContain('s3cret-token')
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('artifact')])
  })
})

describe('an attempt', () => {
  test('that is aborted has its puts rejected with the reason, and its stream is told', async () => {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    let closed = false
    const endless: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: () => {
          closed = true
          return Promise.resolve({ done: true as const, value: undefined })
        },
      }),
    }
    let reason: unknown
    const workflow = making(async ({ artifacts }) => {
      reason = await artifacts.put(endless).catch((error: unknown) => error)
      return null
    }, 1000)
    const kernel = createKernel({ store, clock, workflows: [workflow] })

    const running = kernel.start(workflow, null)
    await settled()
    await clock.advance(1000)
    await running

    expect(reason).toMatchObject({ code: 'TIMEOUT' })
    expect(closed).toBe(true)
  })

  test('that is over reaches no artifacts any more', async () => {
    let kept: ActionArtifacts | undefined
    let read: (() => Promise<unknown>) | undefined
    const { result } = await made(async ({ artifacts }) => {
      kept = artifacts
      const ref = await artifacts.put('a')
      const stored = await artifacts.get(ref)
      read = () => stored.bytes()
      return ref
    })

    const over = { code: 'NOT_OPEN', where: { runId: 'r', key: 'make' } }
    const ref = result.output as ArtifactRef
    for (const late of [kept!.put('b'), kept!.putJson(1), kept!.get(ref), kept!.json(ref), read!()]) {
      await expect(late).rejects.toMatchObject(over)
    }
  })

  test('that does not wait for its put brings nothing down', async () => {
    const { result } = await made(({ artifacts }) => {
      void artifacts.put(7 as never)
      void artifacts.put('a')
      return 'gone'
    })
    await settled()

    expect(result.output).toBe('gone')
  })
})

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}
