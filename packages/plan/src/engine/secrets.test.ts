import { secret, secretKeys, secretRef, secretSchema } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { randomBytes } from 'node:crypto'
import type { Engine, EngineOptions } from './engine.ts'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { childState } from '../definition/child-state.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'

const open = definePlan({
  ...{ id: 'open', version: '1', params: z.json() },
  states: [defineState({ id: 'a', output: z.null(), run: () => null })],
})

describe('params that are kept in a manifest for good', () => {
  test.for<[what: string, params: z.infer<ReturnType<typeof z.json>>, path: string]>([
    ['a password by its name', { db: { password: 'hunter2' } }, 'params.db.password'],
    ['a token by its text', { list: ['x', `ghp_${'a1B2'.repeat(9)}`] }, 'params.list[1]'],
  ])('are refused with %s, at its path and without its text', async ([, params, path]) => {
    const store = memoryStore()

    const error: unknown = await testEngine({ store })
      .start(open, params, { runId: 'r' })
      .catch((reason: unknown) => reason)

    expect(error).toMatchObject({ ...planError('SECRET_IN_MANIFEST'), where: { path } })
    expect((error as Error).message).toContain('secretRef')
    expect((error as Error).message).not.toMatch(/hunter2|ghp_a/)
    expect(await store.runs.find('r')).toBeUndefined()
    expect((await store.artifacts.list({}, { limit: 10 })).items).toEqual([])
  })

  test('are refused with a value of secret(), at its path and with what to do', async () => {
    const params = z.object({ login: z.object({ password: secretSchema(z.string()) }) })
    const plan = definePlan({
      ...{ id: 'marked', version: '1' },
      params,
      states: [defineState({ id: 'a', output: z.null(), run: () => null })],
    })

    await expect(testEngine().start(plan, { login: { password: secret('hunter2') } })).rejects.toMatchObject({
      ...planError('SECRET_IN_MANIFEST'),
      where: { path: 'params.login.password' },
    })
  })

  test.for<[n: number, code: string]>([
    [1.5, 'INEXACT_NUMBER'],
    [2 ** 60, 'NOT_JSON'],
  ])('are refused with the number %d, at its path', async ([n, code]) => {
    await expect(testEngine().start(open, { n })).rejects.toMatchObject({ code, where: { path: 'params.n' } })
  })

  test('are refused where they name a secret as only the run itself does', async () => {
    const params = { login: [{ $planSecret: 'db' }] }
    const starting = testEngine().start(open, params, { config: { secrets: 'allow' } })

    await expect(starting).rejects.toMatchObject(planError('INVALID_PARAMS'))
    await expect(starting).rejects.toThrow('secretRef()')
    const other = { $planSecret: 'db', and: { $planSecret: 5 }, text: '$planSecret' }
    expect(await testEngine().start(open, other, { config: { secrets: 'allow' } })).toMatchObject({
      status: 'completed',
    })
  })

  test('are taken where the config allows them, which the manifest says', async () => {
    const engine = testEngine()
    const params = { password: 'hunter2', n: 1.5 }

    const everywhere = await engine.start(open, params, {
      runId: 'r1',
      config: { secrets: 'allow', numbers: 'any' },
    })
    const there = await engine.start(open, params, {
      runId: 'r2',
      config: { secrets: { allow: ['params.password'] }, numbers: 'any' },
    })

    expect([everywhere.status, there.status]).toEqual(['completed', 'completed'])
    expect((await engine.manifest('r1')).config).toMatchObject({ secrets: 'allow', numbers: 'any' })
    expect((await engine.manifest('r2')).config).toMatchObject({ secrets: { allow: ['params.password'] } })
  })

  test('of a child plan are checked, too', async () => {
    const child = childState({ id: 'child', plan: open, childParams: () => ({ password: 'hunter2' }) })
    const engine = testEngine()

    const outcome = await engine.start(definePlan({ id: 'p', version: '1', states: [child] }), undefined, {
      runId: 'r',
    })

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'SECRET_IN_MANIFEST' } })
    expect(JSON.stringify(await Array.fromAsync(engine.kernel.events('r')))).not.toContain('hunter2')
  })
})

describe('a secret that params refer to', () => {
  const VALUE = 'correct horse battery staple'
  const params = z.object({ host: z.string(), login: secretSchema(z.string()) })

  /** An engine that resolves the secret; it warns of values that were about to be kept. */
  function opening(options: Partial<EngineOptions> = {}): Engine {
    return testEngine({ secrets: { resolve: () => VALUE }, onWarning: () => undefined, ...options })
  }

  async function used(run: (login: string) => string) {
    const store = memoryStore()
    const seen: string[] = []
    const state = defineState({
      ...{ id: 'a', params, output: z.string() },
      run: ({ params: { login } }) => {
        seen.push(login)
        return run(login)
      },
    })
    const plan = definePlan({ id: 'p', version: '1', params, states: [state] })
    const engine = opening({ store })
    const outcome = await engine.start(plan, { host: 'h', login: secretRef('db') }, { runId: 'r' })
    const artifacts = await Promise.all(
      (await store.artifacts.list({}, { limit: 100 })).items.map(async ({ id }) =>
        new TextDecoder().decode(await (await store.artifacts.get(id)).bytes()),
      ),
    )
    const log = JSON.stringify(await Array.fromAsync(engine.kernel.events('r')))
    return { outcome, seen, kept: [log, ...artifacts, JSON.stringify(await engine.status('r'))].join('\n') }
  }

  test('is seen by the state, and nowhere in log, artifacts or views', async () => {
    const { outcome, seen, kept } = await used(() => 'done')

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(seen).toEqual([VALUE])
    expect(kept).not.toContain(VALUE)
    expect(kept).toContain('$secretRef')
  })

  test('is no part of an error that shows it', async () => {
    const { outcome, kept } = await used((login) => {
      throw new Error(`cannot log in with ${login}`)
    })

    expect(outcome).toMatchObject({ status: 'failed' })
    expect(kept).not.toContain(VALUE)
  })

  test('is in no output that a state makes of it', async () => {
    const { outcome, kept } = await used((login) => `login ${login}`)

    expect(outcome.status).toBeDefined()
    expect(kept).not.toContain(VALUE)
  })

  test('is in no fact', async () => {
    const state = defineState({
      ...{ id: 'a', params, output: z.null() },
      run: async ({ params: { login }, io }) => {
        await io.fact('login', () => login)
        return null
      },
    })
    const engine = opening()
    const plan = definePlan({ id: 'p', version: '1', params, states: [state] })

    await engine.start(plan, { host: 'h', login: secretRef('db') }, { runId: 'r' })

    const log = JSON.stringify(await Array.fromAsync(engine.kernel.events('r')))
    expect(log).toContain('FactRecorded')
    expect(log).not.toContain(VALUE)
  })

  test('is a reference for whatever is no code of a state, and passes on to a child plan', async () => {
    const seen: string[] = []
    const inner = defineState({
      ...{ id: 'inner', params, output: z.null() },
      run: ({ params: { login } }) => {
        seen.push(login)
        return null
      },
    })
    const plan = definePlan({ id: 'inner', version: '1', params, states: [inner] })
    const child = childState({
      ...{ id: 'child', params, plan },
      childParams: ({ params: given }) => {
        seen.push(JSON.stringify(given.login))
        return { host: 'other', login: given.login }
      },
    })
    const ask = approvalState({
      ...{ id: 'ask', params, needs: { child } },
      question: ({ params: given }) => {
        seen.push(JSON.stringify(given.login))
        return given.host
      },
    })
    const engine = opening()
    const outer = definePlan({ id: 'outer', version: '1', params, states: [child, ask] })

    const outcome = await engine.start(outer, { host: 'h', login: secretRef('db') }, { runId: 'r' })
    const again = await engine.start(outer, { host: 'h', login: secretRef('db') }, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'blocked' })
    expect(again).toEqual(outcome)
    expect(seen).toEqual(['{"$secretRef":"db"}', VALUE, '{"$secretRef":"db"}'])
    expect(JSON.stringify(await Array.fromAsync(engine.kernel.events('r')))).not.toContain(VALUE)
    expect(await engine.fork('r', { as: 'f' })).toMatchObject({ status: 'blocked' })
  })

  test('is refused for a cached state, whose output would depend on it', async () => {
    const state = defineState({ id: 'a', params, output: z.null(), cache: true, run: () => null })
    const plan = definePlan({ id: 'p', version: '1', params, states: [state] })

    const starting = testEngine().start(plan, { host: 'h', login: secretRef('db') })

    await expect(starting).rejects.toThrow(/state a is cached, and its params hold a secret/)
  })
})

test('a value that is marked as secret is no part of params: they are kept for good', async () => {
  const secrets = { keys: secretKeys({ current: 'k', keys: { k: randomBytes(32) } }) }
  const store = memoryStore()

  const starting = testEngine({ store, secrets }).start(open, { login: secret('hunter2') } as never, { runId: 'r' })

  await expect(starting).rejects.toThrow()
  expect(await store.runs.find('r')).toBeUndefined()
})
