import { canonicalJson, StoreError } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { everythingOf, idsIn, keys, secretRun, TOKEN } from '../testing/secret-run.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secretSchema } from './secret-schema.ts'
import { secret, secretRef, type Secret } from './secret.ts'

const text = secretSchema(z.string())
const holder = z.object({ token: text })

/** Hands everything that comes in, from every side, to one action. */
function hungry() {
  const seen: unknown[] = []
  const store = memoryStore()
  const workflow = defineWorkflow(
    {
      ...{ name: 'hungry', version: '1', input: holder },
      signals: { go: holder },
      interrupts: { ask: { ask: z.null(), answer: holder } },
      actions: {
        login: { run: (n: number) => ({ session: secret(`session ${n} of ${TOKEN}`) }) },
        pay: {
          effect: 'at-most-once',
          run: (): { receipt: Secret<string> } => {
            throw new Error('the line broke')
          },
        },
        eat: {
          run: (input: { all: readonly string[] }) => {
            seen.push(input.all)
            return null
          },
        },
      },
    },
    {
      step: ({ input, results: r }, next) => {
        if (!r['go']) return next.waitFor('go')
        if (!r['ask']) return next.interrupt('ask', null)
        if (!r['login']) return next.run('login', 1)
        if (!r['pay']) return next.run('pay')
        if (r['eat']) return next.complete(null)
        const outputs = [r['go'], r['ask'], r['login'], r['pay']].map((result) =>
          'output' in result ? (result.output as unknown as Record<string, Secret<string>>) : {},
        )
        const parts = [{ token: input.token }, ...outputs].flatMap((output) => Object.values(output))
        return next.run('eat', { all: parts })
      },
    },
  )
  const calls: string[] = []
  const kernel = createKernel({ store: recordCalls(store, calls), workflows: [workflow], secrets: { keys } })
  return { store, kernel, workflow, seen, calls }
}

async function fed() {
  const run = hungry()
  const { kernel, workflow } = run
  await kernel.start(workflow, { token: secret('start token') }, { runId: 'r' })
  await kernel.signal('r', { name: 'go', value: { token: secret('signal token') } })
  await kernel.resume('r', { key: 'ask', value: { token: secret('answer token') } })
  const settlement = { status: 'succeeded', output: { receipt: secret('settled token') } } as const
  const outcome = await kernel.settle('r', { key: 'pay', outcome: settlement })
  return { ...run, outcome }
}

describe('a secret that comes in', () => {
  test('with a start, a signal, an answer, an output or a settlement reaches the handler that it is passed to', async () => {
    const { seen, outcome } = await fed()

    expect(outcome.status).toBe('completed')
    expect(seen).toEqual([['start token', 'signal token', 'answer token', `session 1 of ${TOKEN}`, 'settled token']])
  })

  test('is nowhere in the store but sealed', async () => {
    const { store } = await fed()

    const texts = await everythingOf(store, 'r')

    expect(texts).not.toMatch(
      /token"?:? ?"?(start|signal|answer|settled)|(start|signal|answer|settled) token|session 1/,
    )
    const ids = idsIn(texts)
    expect(ids).toHaveLength(5)
    for (const id of ids) {
      const sealed = Buffer.from((await store.secrets.get(id))!)
      expect(sealed.includes('token') || sealed.includes(TOKEN)).toBe(false)
    }
  })

  test('is kept before anything refers to it', async () => {
    const { calls } = await fed()

    const writes = calls.filter((name) => ['secrets.put', 'events.append', 'inbox.post'].includes(name))

    expect(writes.slice(0, 2)).toEqual(['secrets.put', 'events.append'])
    for (const [i, name] of writes.entries()) if (name === 'inbox.post') expect(writes[i - 1]).toBe('secrets.put')
  })

  test('leaves a run that verifies and replays to the same state', async () => {
    const { kernel } = await fed()

    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    const { state } = await kernel.replay('r')
    expect(JSON.stringify(state)).toContain('"$secret"')
  })

  test('may be any JSON, and stand anywhere, also several times', async () => {
    const seen: unknown[] = []
    const store = memoryStore()
    const anything = defineWorkflow(
      {
        ...{ name: 'anything', version: '1', input: z.any() },
        actions: { eat: { run: (input: unknown) => void seen.push(input) } },
      },
      { step: ({ input, results }, next) => (results['eat'] ? next.complete(null) : next.run('eat', input)) },
    )
    const kernel = createKernel({ store, workflows: [anything], secrets: { keys } })
    const value = { a: [1, { b: null, ü: 'x' }], n: 1.5 }

    for (const input of [secret(value), [secret('one'), { two: secret(value) }, secret(null), 3]] as unknown[]) {
      await kernel.start(anything, input)
    }

    expect(seen).toEqual([value, ['one', { two: value }, null, 3]])
  })

  test('is refused by its schema before anything is written', async () => {
    const { store, kernel, workflow } = secretRun(() => null)
    const input = { user: 'ada', token: secret('short') }

    await expect(kernel.start(workflow, input, { runId: 'r' })).rejects.toMatchObject(kernelError('INVALID_INPUT'))

    expect(await store.runs.find('r')).toBe(undefined)
  })

  test('is checked by the schemas of signals and answers while the sender is there to hear of it', async () => {
    const { kernel, workflow, calls } = hungry()
    await kernel.start(workflow, { token: secret('start token') }, { runId: 'r' })
    const puts = () => calls.filter((name) => name === 'secrets.put').length
    const before = puts()

    const sending = kernel.signal('r', { name: 'go', value: { token: secret(1) } })
    await expect(sending).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    await kernel.signal('r', { name: 'go', value: { token: secret('x') } })
    const answering = kernel.resume('r', { key: 'ask', value: { token: secret(1) } })
    await expect(answering).rejects.toMatchObject(kernelError('INVALID_INPUT'))

    expect(puts() - before).toBe(1)
  })

  test('that cannot be kept for its size, or is no JSON, is refused with its path', async () => {
    const { store, kernel, workflow } = secretRun(() => null, {}, { limits: { sealedBytes: 200 } })
    const start = (token: Secret<string>) => kernel.start(workflow, { user: 'ada', token }, { runId: 'r' })

    const refusal = { ...storeError('LIMIT_EXCEEDED'), where: { path: 'input.token' } }
    await expect(start(secret('x'.repeat(200)))).rejects.toMatchObject(refusal)

    expect(await store.runs.find('r')).toBe(undefined)
  })

  test('that an action answers and that cannot be sealed fails the action, as other outputs do that cannot be recorded', async () => {
    const { kernel, workflow } = secretRun(() => ({ bad: secret(new Date(0)) }))

    const outcome = await kernel.start(workflow, { user: 'ada', token: secret(TOKEN) })

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'NOT_JSON' } } })
  })
})

describe('without keys', () => {
  test('a secret is refused before anything is written, wherever it comes in', async () => {
    const { store, workflow, kernel: withKeys } = hungry()
    await withKeys.start(workflow, { token: secret('start token') }, { runId: 'r' })
    const head = (await store.runs.find('r'))!.head
    const kernel = createKernel({ store, workflows: [workflow] })
    const missing = kernelError('SECRET_KEY_MISSING')

    await expect(kernel.start(workflow, { token: secret('x') }, { runId: 's' })).rejects.toMatchObject(missing)
    const signal = { name: 'go', value: { token: secret('x') } }
    await expect(kernel.signal('r', signal)).rejects.toMatchObject({ ...missing, where: { path: 'signal.token' } })
    await expect(kernel.resume('r', { key: 'ask', value: secret('x') })).rejects.toMatchObject(missing)
    const outcome = { status: 'succeeded', output: secret('x') } as const
    await expect(kernel.settle('r', { key: 'pay', outcome })).rejects.toMatchObject(missing)

    expect(await store.runs.find('s')).toBe(undefined)
    expect(await store.runs.find('r')).toMatchObject({ head, waiting: 0 })
  })

  test('a run whose action answers one is parked, and goes on where there are keys', async () => {
    let calls = 0
    const workflow = defineWorkflow(
      {
        ...{ name: 'login', version: '1', input: z.null() },
        actions: { login: { run: () => secret(`${++calls} ${TOKEN}`) } },
      },
      { step: ({ results }, next) => (results['login'] ? next.complete('in') : next.run('login')) },
    )
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [workflow] })

    await expect(kernel.start(workflow, null, { runId: 'r' })).rejects.toMatchObject(kernelError('SECRET_KEY_MISSING'))
    const { problem } = await kernel.get('r')
    const outcome = await createKernel({ store, workflows: [workflow], secrets: { keys } }).run('r')

    expect(problem).toMatchObject({ code: 'SECRET_KEY_MISSING' })
    expect(outcome).toMatchObject({ status: 'completed', output: 'in' })
    expect(calls).toBe(2)
  })

  test('a provider that fails, or answers what is no key, says so before anything is written', async () => {
    for (const current of [
      () => Promise.reject(new Error('no network')),
      () => ({ id: 'k', key: new Uint8Array(5) }),
    ]) {
      const { store, kernel, workflow } = secretRun(() => null, {}, { secrets: { keys: { ...keys, current } } })

      const starting = kernel.start(workflow, { user: 'ada', token: secret(TOKEN) }, { runId: 'r' })

      await expect(starting).rejects.toMatchObject({
        code: expect.stringMatching(/SECRET_KEY_MISSING|INVALID_DEFINITION/) as string,
      })
      expect(await store.runs.find('r')).toBe(undefined)
    }
  })
})

describe('a reference that was made up', () => {
  const forged = [{ $secret: 's-1', commitment: 'c' }, { $secret: 's-1', more: 1 }, secretRef('database')]

  test.for(forged)('is refused wherever it comes in: %j', async (reference) => {
    const { store, kernel, workflow } = hungry()
    await kernel.start(workflow, { token: secret('start token') }, { runId: 'r' })
    const invalid = {
      ...kernelError('INVALID_INPUT'),
      message: expect.stringContaining('nobody may pass in') as string,
    }
    const value = { token: reference }

    const head = (await store.runs.find('r'))!.head
    const anything = defineWorkflow(
      { name: 'a', version: '1', input: z.any() },
      { step: (_, next) => next.complete(1) },
    )
    const other = createKernel({ store, workflows: [anything], secrets: { keys } })
    await expect(other.start(anything, { deep: [value] })).rejects.toMatchObject({
      ...invalid,
      where: { path: 'input.deep[0].token' },
    })
    await expect(kernel.signal('r', { name: 'go', value })).rejects.toMatchObject(invalid)
    await expect(kernel.resume('r', { key: 'ask', value })).rejects.toMatchObject(invalid)
    const outcome = { status: 'succeeded', output: value } as const
    await expect(kernel.settle('r', { key: 'pay', outcome })).rejects.toMatchObject(invalid)

    expect(await store.runs.find('r')).toMatchObject({ head, waiting: 0 })
  })

  test('fails the action that answers it, as when it comes from the other side', async () => {
    const { store, kernel, workflow } = secretRun(() => JSON.parse('{"evil":{"$secretRef":"database"}}'))

    const outcome = await kernel.start(workflow, { user: 'ada', token: secret(TOKEN) }, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'INVALID_INPUT' } } })
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toEqual([])
  })
})

describe('the same again', () => {
  test('a start with the same secret returns the run, and one with another is RUN_EXISTS', async () => {
    const { store, kernel, workflow } = secretRun(() => 'done')
    const start = (token: string, wait = true) =>
      kernel.start(workflow, { user: 'ada', token: secret(token) }, { runId: 'r', wait })
    const first = await start(TOKEN)
    const ids = idsIn(await everythingOf(store, 'r'))

    expect(await start(TOKEN)).toEqual(first)
    expect(await start(TOKEN, false)).toEqual({ status: 'running', runId: 'r' })
    await expect(start(`${TOKEN}!`)).rejects.toMatchObject(kernelError('RUN_EXISTS'))
    await expect(start(`${TOKEN}!`, false)).rejects.toMatchObject(kernelError('RUN_EXISTS'))

    expect(idsIn(await everythingOf(store, 'r'))).toEqual(ids)
  })

  test('two starts at once are one run, and what the second had sealed is erased again', async () => {
    const calls: string[] = []
    const { store, workflow, another } = secretRun(() => 'done')
    const recorded = recordCalls(store, calls)
    const start = () =>
      another({ store: recorded }).start(workflow, { user: 'ada', token: secret(TOKEN) }, { runId: 'r' })

    const outcomes = await Promise.all([start(), start()])

    expect(outcomes[0]).toEqual(outcomes[1])
    const count = (name: string) => calls.filter((call) => call === name).length
    expect([count('secrets.put'), count('secrets.erase')]).toEqual([2, 1])
  })

  test('a run whose very first decision fails leaves no secret behind', async () => {
    const calls: string[] = []
    const store = memoryStore()
    const broken = defineWorkflow(
      { name: 'broken', version: '1', input: z.any() },
      {
        step: () => {
          throw new Error('a bug')
        },
      },
    )
    const kernel = createKernel({ store: recordCalls(store, calls), workflows: [broken], secrets: { keys } })

    await expect(kernel.start(broken, secret(TOKEN), { runId: 'r' })).rejects.toMatchObject(kernelError('STEP_FAILED'))

    expect(calls.filter((name) => name.startsWith('secrets.'))).toEqual(['secrets.put', 'secrets.erase'])
    expect(await store.runs.find('r')).toBe(undefined)
  })

  test('a start whose run fails on the inbox of another one keeps the secrets of its own', async () => {
    const memory = memoryStore()
    const full = () => Promise.reject(new StoreError('INBOX_FULL', 'full', { retryable: true }))
    const store = { ...memory, inbox: { ...memory.inbox, post: full } }
    const child = defineWorkflow(
      { ...{ name: 'child', version: '1', input: z.null() }, interrupts: { ask: { ask: z.null(), answer: z.null() } } },
      { step: (_, next) => next.interrupt('ask', null) },
    )
    const parent = defineWorkflow(
      { ...{ name: 'parent', version: '1', input: holder }, actions: { work: { run: () => null } } },
      {
        step: ({ results }, next) =>
          results['work']
            ? next.complete(null)
            : next.all([next.child(child, null, { key: 'child' }), next.run('work', null)]),
      },
    )
    const kernel = createKernel({ store, workflows: [parent, child], secrets: { keys }, onWarning: () => undefined })

    const started = kernel.start(parent, { token: secret(TOKEN) }, { runId: 'r' })

    await expect(started).rejects.toMatchObject({ code: 'INBOX_FULL' })
    const [id = ''] = idsIn(await everythingOf(memory, 'r'))
    expect(await memory.secrets.get(id)).toBeDefined()
  })

  test('a start whose secret was erased says that nobody can tell whether it is the same', async () => {
    const { kernel, workflow } = secretRun(() => 'done')
    const start = () => kernel.start(workflow, { user: 'ada', token: secret(TOKEN) }, { runId: 'r' })
    await start()
    await kernel.eraseSecrets('r')

    await expect(start()).rejects.toMatchObject(kernelError('SECRET_GONE'))

    expect(await kernel.run('r')).toMatchObject({ status: 'completed' })
  })

  test('an answer and a settlement with the same secret are taken once, and with another they are refused', async () => {
    const { kernel, workflow, store } = hungry()
    await kernel.start(workflow, { token: secret('start token') }, { runId: 'r' })
    await kernel.signal('r', { name: 'go', value: { token: secret('signal token') } })
    const answer = (token: string) => kernel.resume('r', { key: 'ask', value: { token: secret(token) } })
    const settle = (token: string) =>
      kernel.settle('r', { key: 'pay', outcome: { status: 'succeeded', output: { receipt: secret(token) } } })

    await Promise.all([answer('answer token'), answer('answer token')])
    await answer('answer token')
    await expect(answer('other')).rejects.toMatchObject(kernelError('NOT_OPEN'))
    const ended = await settle('settled token')
    expect(await settle('settled token')).toEqual(ended)
    await expect(settle('other')).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
    await expect(answer('other')).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
    expect(await answer('answer token')).toEqual(ended)

    expect((await typesOf(store, 'r')).filter((type) => type === 'Resumed')).toHaveLength(1)
  })

  test('a post to a run that has ended leaves no secret behind', async () => {
    const { kernel, calls } = await fed()
    const before = calls.length

    const sending = kernel.signal('r', { name: 'go', value: { token: secret('late') } })
    await expect(sending).rejects.toMatchObject(kernelError('RUN_TERMINAL'))

    expect(calls.slice(before).filter((name) => name.startsWith('secrets.'))).toEqual(['secrets.put', 'secrets.erase'])
  })
})

test('two runs with the same secret hold nothing by which it could be told', async () => {
  const { store, kernel, workflow } = secretRun(() => null)
  for (const runId of ['a', 'b']) await kernel.start(workflow, { user: 'ada', token: secret(TOKEN) }, { runId })

  const [a, b] = await Promise.all(['a', 'b'].map(async (runId) => dataOf(store, runId, 'RunStarted')))

  const tokens = [a, b].map((data) => (data![0] as { input: { token: object } }).input.token)
  expect(tokens[0]).toEqual({ $secret: expect.any(String) as string, commitment: expect.any(String) as string })
  const [one, other] = tokens.map((token) => Object.values(token) as string[])
  expect(one!.some((part) => other!.includes(part))).toBe(false)
  expect(canonicalJson(tokens)).not.toContain(TOKEN)
})
