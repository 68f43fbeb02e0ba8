import { memoryStore } from '@varve/store-memory'
import { canonicalJson, StoreError, type Store } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { verifyEvidence } from '../evidence/verify-evidence.ts'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { settled } from '../testing/manual-clock.ts'
import { dataOf, typesOf } from '../testing/sealed-log.ts'
import { everythingOf, idsIn, keyK1, keys, secretRun, TOKEN, type CallInput } from '../testing/secret-run.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secretKeys } from './secret-keys.ts'
import { secretSchema } from './secret-schema.ts'
import { secret, secretRef } from './secret.ts'

/** Some numbers that JavaScript can write are none that a log takes. */
function isJson(value: unknown): boolean {
  try {
    canonicalJson(value)
    return true
  } catch {
    return false
  }
}

const input = { user: 'ada', token: secret(TOKEN) }

/** A store that answers no read of a secret, but for the first few, before it is let. */
function gatedStore(store: Store, free = 0) {
  const waiting: (() => void)[] = []
  let reads = 0
  let isOpen = false
  const pass = async (): Promise<void> => {
    if (++reads > free && !isOpen) await new Promise<void>((resolve) => void waiting.push(resolve))
  }
  const get = async (id: string) => {
    await pass()
    return store.secrets.get(id)
  }
  const letOne = (): void => waiting.shift()?.()
  const open = (): void => {
    isOpen = true
    while (waiting.length > 0) letOne()
  }
  return { gated: { ...store, secrets: { ...store.secrets, get } } satisfies Store, letOne, open }
}

describe('a handler', () => {
  test('gets the value in place, anew in every attempt, and may do with it what it likes', async () => {
    const seen: CallInput[] = []
    const { kernel, workflow } = secretRun(
      (given) => {
        seen.push({ ...given })
        Object.assign(given, { token: 'spoiled' })
        if (seen.length < 3) throw new ActionError('transient', 'once more')
        return null
      },
      { retry: { maxAttempts: 3, baseMs: 0 } },
    )

    await kernel.start(workflow, input)

    expect(seen).toEqual(Array.from({ length: 3 }, () => ({ token: TOKEN, path: '/users/ada' })))
  })

  test('gets any input back just as it was, wherever and however often parts of it were marked', async () => {
    const plain = fc.jsonValue().filter((value) => isJson(value))
    const marked = plain.map((value) => ({ given: secret(value), meant: value }))
    const part = fc.oneof(
      marked,
      plain.map((value) => ({ given: value, meant: value })),
    )
    const seen: unknown[] = []
    const eating = defineWorkflow(
      {
        ...{ name: 'eating', version: '1', input: z.any() },
        actions: { eat: { run: (given: unknown) => void seen.push(given) } },
      },
      { step: (state, next) => (state.results['eat'] ? next.complete(null) : next.run('eat', state.input)) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [eating], secrets: { keys } })

    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 5 }),
        fc.dictionary(fc.string(), part, { maxKeys: 5 }),
        async (list, record) => {
          const pick = (which: 'given' | 'meant'): unknown => [
            list.map((each) => each[which]),
            Object.fromEntries(Object.entries(record).map(([name, each]) => [name, each[which]])),
          ]
          seen.length = 0

          await kernel.start(eating, pick('given'))

          expect(canonicalJson(seen)).toBe(canonicalJson([pick('meant')]))
        },
      ),
      { numRuns: 50 },
    )
  })

  test('costs no append more for it, and one read for each attempt', async () => {
    const calls: string[] = []
    const { store, workflow, another } = secretRun(() => null)

    await another({ store: recordCalls(store, calls) }).start(workflow, input, { runId: 'r' })

    expect(calls.filter((name) => name !== 'runs.find' && name !== 'events.read')).toEqual([
      ...['store.now', 'secrets.put', 'events.append', 'secrets.get', 'events.append', 'snapshots.save'],
    ])
  })

  test('is called under a lease that may have run out while its secrets were opened when a renewal has said that it has not', async () => {
    const calls: unknown[] = []
    const { store, workflow, another, clock } = secretRun((_, { fencingToken }) => void calls.push(fencingToken))
    const { gated, open } = gatedStore(store)
    const watched = recordCalls(gated, [], (name) => {
      if (name === 'runs.renew') calls.push(name)
      return undefined
    })
    // The process stands still: time passes, and none of its timers is called.
    let asleepMs = 0
    const monotonic = () => clock.monotonic() + asleepMs
    const starting = another({ store: watched, clock: { ...clock, monotonic } }).start(workflow, input)
    await settled()

    asleepMs = 60_000
    open()

    expect(await starting).toMatchObject({ status: 'completed' })
    expect(calls).toEqual(['runs.renew', 1])
  })

  test('is not called when its run was canceled while its secrets were opened', async () => {
    const called: string[] = []
    const { store, workflow, another } = secretRun(() => void called.push('called'))
    const { gated, open } = gatedStore(store)
    const kernel = another({ store: gated })
    const starting = kernel.start(workflow, input, { runId: 'r' })
    await settled()

    const canceling = kernel.cancel('r', { reason: 'changed my mind' })
    await settled()
    open()

    expect(await canceling).toMatchObject({ status: 'canceled' })
    expect(await starting).toMatchObject({ status: 'canceled' })
    expect(called).toEqual([])
  })

  test('that is at hand is not kept waiting by one whose secrets are being opened', async () => {
    const store = memoryStore()
    const { gated, open } = gatedStore(store)
    const done: string[] = []
    const two = defineWorkflow(
      {
        ...{ name: 'two', version: '1', input: secretSchema(z.string()) },
        actions: {
          slow: { run: (_: string) => void done.push('slow') },
          quick: { run: () => void done.push('quick') },
        },
      },
      {
        step: (state, next) =>
          state.results['slow'] && state.results['quick']
            ? next.complete(null)
            : next.all([next.run('slow', state.input), next.run('quick')]),
      },
    )
    const kernel = createKernel({ store: gated, workflows: [two], secrets: { keys } })
    const starting = kernel.start(two, secret(TOKEN), { runId: 'r' })
    await settled()

    const before = [...done]
    open()
    await starting

    expect(before).toEqual(['quick'])
    expect(done).toEqual(['quick', 'slow'])
  })

  test('gets what was passed on to a child, a successor, an event or a fork', async () => {
    const seen: string[] = []
    const store = memoryStore()
    const spec = { version: '1', input: z.object({ token: secretSchema(z.string()), round: z.number() }) }
    const actions = { use: { run: ({ token }: { token: string }) => void seen.push(token) } }
    const child = defineWorkflow(
      { ...spec, name: 'child', actions },
      {
        step: ({ input: { token }, results }, next) =>
          results['use'] ? next.complete({ token }) : next.run('use', { token }),
      },
    )
    const parent = defineWorkflow(
      {
        ...spec,
        ...{ name: 'parent', actions, events: { kept: secretSchema(z.string()) } },
        initialState: (given) => ({ ...given, kept: given.token, done: [] as string[] }),
      },
      {
        reduce: (state, event) => {
          if (event.type === 'DomainEvent') return { ...state, kept: event.data.payload, done: [...state.done, 'kept'] }
          return 'key' in event.data ? { ...state, done: [...state.done, event.data.key] } : state
        },
        step: ({ token, kept, round, done }, next) => {
          if (!done.includes('kept')) return next.emit({ type: 'DomainEvent', name: 'kept', payload: token })
          if (!done.includes('use')) return next.run('use', { token: kept })
          if (!done.includes('child')) return next.child(child, { token: kept, round })
          return round === 0 ? next.complete({ token: kept }) : next.continueAsNew({ token: kept, round: round - 1 })
        },
      },
    )
    const kernel = createKernel({ store, workflows: [parent, child], secrets: { keys } })
    const first = await kernel.start(parent, { token: secret(TOKEN), round: 1 }, { runId: 'r' })
    const last = await kernel.run(first.status === 'continued' ? first.newRunId : '')
    const inFamily = seen.splice(0)

    const fork = await kernel.fork('r', { at: 1, as: 'fork' })

    expect(last).toMatchObject({ status: 'completed' })
    expect(fork.status).toBe('continued')
    expect(inFamily).toEqual(Array.from({ length: 4 }, () => TOKEN))
    expect(seen.length).toBeGreaterThanOrEqual(2)
    expect(new Set(seen)).toEqual(new Set([TOKEN]))
    for (const { runId } of (await kernel.list()).items) {
      expect(await kernel.verify(runId)).toMatchObject({ ok: true })
      expect(await everythingOf(store, runId)).not.toContain(TOKEN)
    }
  })

  test('is not called by a fork that reuses results, unless the secret is another one', async () => {
    const seen: string[] = []
    const { kernel, workflow } = secretRun(({ token }) => void seen.push(token))
    await kernel.start(workflow, input, { runId: 'r' })

    await kernel.fork('r', { at: 1, reuse: true })
    const edit = { input: { user: 'ada', token: secret('another token') } }
    await kernel.fork('r', { at: 1, reuse: true, edit })

    expect(seen).toEqual([TOKEN, 'another token'])
  })

  test('gets another secret in a fork whose event was edited, also one that is edited around a reference', async () => {
    const seen: string[] = []
    const { store, kernel, workflow } = secretRun(({ token, path }) => void seen.push(`${token} ${path}`))
    await kernel.start(workflow, input, { runId: 'r' })
    const [started] = (await dataOf(store, 'r', 'RunStarted')) as { input: { token: unknown } }[]

    await kernel.fork('r', { at: 1, edit: { input: { user: 'bob', token: secret('another token') } } })
    await kernel.fork('r', { at: 1, edit: { input: { user: 'eve', token: started!.input.token } } })
    const forged = { user: 'eve', token: { $secret: 's-1', commitment: 'c' } }
    const forging = kernel.fork('r', { at: 1, edit: { input: forged } })
    await expect(forging).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    const wrong = kernel.fork('r', { at: 1, edit: { input: { user: 'bob', token: secret('short') } } })
    await expect(wrong).rejects.toMatchObject(kernelError('INVALID_INPUT'))

    expect(seen).toEqual([`${TOKEN} /users/ada`, 'another token /users/bob', `${TOKEN} /users/eve`])
  })

  test('gets it after a crash, and what it answers late is handed in without it', async () => {
    const gate = Promise.withResolvers<undefined>()
    const { store, kernel, workflow, another } = secretRun(async ({ token }) => {
      await gate.promise
      return { session: secret(`session of ${token}`) }
    })
    kernel.start(workflow, input, { runId: 'r' }).catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    gate.resolve(undefined)
    await settled()
    const waiting = await everythingOf(store, 'r')

    const outcome = await another().run('r')

    expect(waiting).toContain('outcome:')
    expect(waiting).not.toContain(TOKEN)
    expect(outcome).toMatchObject({ output: { status: 'succeeded', output: { session: { $secret: /./ } } } })
    expect(await typesOf(store, 'r')).not.toContain('ActionAttemptAbandoned')
  })
})

describe('an inquiry into what is in doubt', () => {
  const doubtful = { effect: 'at-most-once' } as const

  test('gets the value, too, and what it answers is taken without it', async () => {
    const seen: unknown[] = []
    const { store, kernel, workflow } = secretRun(
      () => {
        throw new Error('the line broke')
      },
      {
        ...doubtful,
        reconcile: (given: CallInput) => {
          seen.push(given)
          return { status: 'succeeded', output: { receipt: secret('receipt 123'), echo: given.token } }
        },
      },
      { onWarning: () => undefined },
    )

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(seen).toEqual([{ token: TOKEN, path: '/users/ada' }])
    expect(outcome).toMatchObject({ output: { status: 'succeeded', output: { echo: '[secret]' } } })
    expect(await everythingOf(store, 'r')).not.toMatch(/tok-correct|receipt 123/)
  })

  test('is not made when the secret was erased: the action stays in doubt until it is settled', async () => {
    const warnings: Error[] = []
    const asked: unknown[] = []
    const reconcile = (given: CallInput) => {
      asked.push(given)
      return { status: 'unknown' } as const
    }
    const onWarning = (warning: Error): void => void warnings.push(warning)
    const hanging = () => new Promise<null>(() => undefined)
    const { kernel, workflow, another } = secretRun(hanging, { ...doubtful, reconcile }, { onWarning })
    kernel.start(workflow, input, { runId: 'r' }).catch(() => undefined)
    await settled()
    await kernel[Symbol.asyncDispose]()
    const later = another()
    await later.eraseSecrets('r')

    const blocked = await later.run('r')
    const outcome = await later.settle('r', { key: 'call', outcome: { status: 'succeeded', output: 'paid' } })

    expect(blocked).toMatchObject({ status: 'blocked', blockedOn: [{ inDoubt: true }] })
    expect(asked).toEqual([])
    expect(warnings.map(({ message }) => message)).toContainEqual(expect.stringContaining('was erased'))
    expect(outcome).toMatchObject({ status: 'completed', output: { output: 'paid' } })
  })

  test('is not made when the secret was erased in the pause before it', async () => {
    const asked: unknown[] = []
    const reconcile = (given: CallInput) => {
      asked.push(given)
      return { status: 'not-executed' } as const
    }
    const failing = (): never => {
      throw new Error('the line broke')
    }
    const options = { ...doubtful, fenced: true, reconcile }
    const { clock, kernel, workflow } = secretRun(failing, options, { onWarning: () => undefined })
    kernel.start(workflow, input, { runId: 'r' }).catch(() => undefined)
    await settled()
    expect(asked).toHaveLength(2)
    await kernel.eraseSecrets('r')

    await clock.advance(100)
    await settled()

    expect(asked).toHaveLength(2)
    await kernel[Symbol.asyncDispose]()
  })
})

test('an opening that is overtaken begins nothing: an at-most-once action is called once per attempt', async () => {
  const attempts: number[] = []
  const asked: unknown[] = []
  const paid = Promise.withResolvers<string>()
  const { store, workflow, another } = secretRun(
    (_, { attempt }) => {
      attempts.push(attempt)
      if (attempt === 1) throw new Error('the line broke')
      return paid.promise
    },
    {
      effect: 'at-most-once',
      reconcile: (given: CallInput) => {
        asked.push(given)
        return { status: 'unknown' }
      },
    },
  )
  const { gated, letOne, open } = gatedStore(store, 1)
  const kernel = another({ store: gated })
  const starting = kernel.start(workflow, input, { runId: 'r' })
  await settled()
  const settling = kernel.settle('r', { key: 'call', outcome: { status: 'retry' } })
  await settled()

  for (let i = 0; i < 3; i++) {
    letOne()
    await settled()
  }
  open()
  paid.resolve('paid')

  expect(await settling).toMatchObject({ status: 'completed', output: { output: 'paid' } })
  expect(await starting).toMatchObject({ status: 'completed' })
  expect(attempts).toEqual([1, 2])
  expect(asked).toEqual([])
})

describe('a secret that was erased', () => {
  test('fails the action that needs it, and the run goes on', async () => {
    const { store, kernel, workflow } = secretRun(() => null)
    await kernel.start(workflow, input, { runId: 'r', wait: false })
    const ids = idsIn(await everythingOf(store, 'r'))

    const erased = await kernel.eraseSecrets('r')
    const outcome = await kernel.run('r')

    expect(erased).toEqual(ids)
    expect(outcome).toMatchObject({ status: 'completed', output: { status: 'failed', error: { code: 'SECRET_GONE' } } })
  })

  test('does so also to an at-most-once action, which was not executed for certain', async () => {
    const { kernel, workflow, store } = secretRun(() => null, { effect: 'at-most-once' })
    await kernel.start(workflow, input, { runId: 'r', wait: false })
    await kernel.eraseSecrets('r')

    const outcome = await kernel.run('r')

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'SECRET_GONE' } } })
    expect(await typesOf(store, 'r')).not.toContain('ActionInDoubt')
  })

  test('leaves log, replay and proof whole', async () => {
    const { kernel, workflow } = secretRun(() => 'done')
    await kernel.start(workflow, input, { runId: 'r' })
    const before = await kernel.replay('r')

    await kernel.eraseSecrets('r')

    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    expect(await kernel.replay('r')).toEqual(before)
    const evidence = await Array.fromAsync(kernel.exportEvidence('r'))
    expect(await verifyEvidence(evidence)).toMatchObject({ ok: true })
    expect(evidence.join('')).toContain('$secret')
    expect(evidence.join('')).not.toContain(TOKEN)
    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: { output: 'done' } })
  })

  test('is found in posts, too: such that wait, and such that were set aside', async () => {
    const store = memoryStore()
    const asking = defineWorkflow(
      {
        ...{ name: 'asking', version: '1', input: z.null() },
        signals: { go: secretSchema(z.string()) },
        interrupts: { ask: { ask: z.null(), answer: secretSchema(z.string()) } },
      },
      { step: ({ results }, next) => (results['ask'] ? next.waitFor('go') : next.interrupt('ask', null)) },
    )
    const kernel = createKernel({ store, workflows: [asking], secrets: { keys } })
    await kernel.start(asking, null, { runId: 'r' })
    const answers = ['a', 'b'].map((value) => kernel.resume('r', { key: 'ask', value: secret(value) }))
    await Promise.allSettled(answers)
    const strangerOnly = createKernel({ store, workflows: [], secrets: { keys } })
    await strangerOnly.signal('r', { name: 'go', value: secret('c') }).catch(() => undefined)
    const ids = idsIn(await everythingOf(store, 'r'))

    const erased = await kernel.eraseSecrets('r')

    expect(ids).toHaveLength(3)
    expect([...erased].sort()).toEqual([...ids].sort())
    for (const id of ids) expect(await store.secrets.get(id)).toBe(undefined)
  })

  test('of a run that is not there is RUN_NOT_FOUND, and a run without any has none', async () => {
    const { kernel, workflow } = secretRun(() => null)
    await kernel.start(workflow, input, { runId: 'r' })

    expect(await kernel.eraseSecrets('r')).toHaveLength(1)
    await expect(kernel.eraseSecrets('x')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })
})

describe('what has to be mended parks the run, and it goes on then', () => {
  async function enqueued() {
    const run = secretRun(() => 'done')
    await run.kernel.start(run.workflow, input, { runId: 'r', wait: false })
    const [id] = idsIn(await everythingOf(run.store, 'r'))
    return { ...run, id: id! }
  }

  test('a key that is not there', async () => {
    const { another } = await enqueued()
    const k2 = new Uint8Array(32).fill(2)
    const without = [{}, { keys: secretKeys({ current: 'k2', keys: { k2 } }) }]

    for (const secrets of without) {
      const kernel = another({ secrets })
      await expect(kernel.run('r')).rejects.toMatchObject(kernelError('SECRET_KEY_MISSING'))
      expect((await kernel.get('r')).problem).toMatchObject({ code: 'SECRET_KEY_MISSING' })
    }

    const rotated = secretKeys({ current: 'k2', keys: { k1: keyK1, k2 } })
    expect(await another({ secrets: { keys: rotated } }).retry('r')).toMatchObject({ output: { output: 'done' } })
  })

  test('a key provider that fails', async () => {
    const { another } = await enqueued()
    const find = () => Promise.reject(new Error('no network'))

    const running = another({ secrets: { keys: { ...keys, find } } }).run('r')

    await expect(running).rejects.toMatchObject({ ...kernelError('SECRET_KEY_MISSING'), retryable: true })
    expect(await another().retry('r')).toMatchObject({ output: { output: 'done' } })
  })

  test('a sealed value that was tampered with, or that took the place of another', async () => {
    const { store, another, kernel, workflow, id } = await enqueued()
    await kernel.start(workflow, { user: 'bob', token: secret('the token of bob') }, { runId: 's', wait: false })
    const [otherId] = idsIn(await everythingOf(store, 's'))
    const sealed = (await store.secrets.get(id))!
    const others = (await store.secrets.get(otherId!))!
    const flipped = Uint8Array.from(sealed, (byte, i) => (i === sealed.length - 1 ? byte ^ 1 : byte))

    for (const instead of [flipped, others, sealed.subarray(0, 20), Uint8Array.of(1), Uint8Array.of(9, 9, 9, 9)]) {
      const tampered: Store = { ...store, secrets: { ...store.secrets, get: async () => Promise.resolve(instead) } }
      const running = another({ store: tampered }).run('r')
      await expect(running).rejects.toMatchObject(kernelError('SECRET_CORRUPT'))
    }

    expect((await kernel.get('r')).problem).toMatchObject({ code: 'SECRET_CORRUPT' })
    expect(await another().retry('r')).toMatchObject({ output: { output: 'done' } })
  })

  test('a value that was sealed under the same id and with the same key, and is not the one', async () => {
    const { workflow, another } = secretRun(() => null)
    const unlucky = { keys, randomBytes: (size: number) => new Uint8Array(size).fill(7) }
    const [store, elsewhere] = [memoryStore(), memoryStore()]
    for (const [place, token] of [
      [store, TOKEN],
      [elsewhere, 'the token of eve'],
    ] as const) {
      const kernel = another({ store: place, secrets: unlucky })
      await kernel.start(workflow, { user: 'ada', token: secret(token) }, { runId: 'r', wait: false })
    }

    const running = another({ store: { ...store, secrets: elsewhere.secrets } }).run('r')

    await expect(running).rejects.toMatchObject(kernelError('SECRET_CORRUPT'))
  })
})

test('a store that cannot be reached parks nothing: the run is driven when it can', async () => {
  const { store, another, kernel, workflow } = secretRun(() => 'done')
  await kernel.start(workflow, input, { runId: 'r', wait: false })
  const get = () => Promise.reject(new StoreError('STORE_UNREACHABLE', 'the network is gone'))

  const running = another({ store: { ...store, secrets: { ...store.secrets, get } } }).run('r')

  await expect(running).rejects.toMatchObject(storeError('STORE_UNREACHABLE'))
  expect((await kernel.get('r')).problem).toBe(undefined)
  expect(await another().run('r')).toMatchObject({ output: { output: 'done' } })
})

describe('a secret of the configuration', () => {
  function configured(resolve?: (name: string) => string | Promise<string>, retry = {}) {
    const seen: unknown[] = []
    const store = memoryStore()
    const workflow = defineWorkflow(
      {
        ...{ name: 'configured', version: '1', input: z.null() },
        actions: {
          call: {
            ...retry,
            run: (given: { key: string; n: number }) => {
              seen.push({ ...given })
              if (seen.length < 2) throw new ActionError('transient', `not with ${given.key}`)
              return null
            },
          },
        },
      },
      {
        step: ({ results }, next) =>
          results['call'] ? next.complete(results['call']) : next.run('call', { key: secretRef('stripe'), n: 1 }),
      },
    )
    const secrets = resolve === undefined ? {} : { resolve }
    const kernel = createKernel({ store, workflows: [workflow], secrets })
    return { store, kernel, workflow, seen }
  }
  const twice = { retry: { maxAttempts: 3, baseMs: 0 } }

  test('is resolved for each attempt, needs no keys, and is recorded nowhere', async () => {
    let asked = 0
    const { store, kernel, workflow, seen } = configured((name) => `key ${++asked} of ${name}`, twice)

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: { status: 'succeeded' } })
    expect(seen).toEqual([1, 2].map((n) => ({ key: `key ${n} of stripe`, n: 1 })))
    const texts = await everythingOf(store, 'r')
    expect(texts).not.toContain('of stripe')
    expect(texts).toContain('not with [secret]')
    expect(texts).toContain('$secretRef')
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    expect(await kernel.eraseSecrets('r')).toEqual([])
  })

  test('that cannot be had just now is a failed attempt, which is retried as the action says', async () => {
    let asked = 0
    const { store, kernel, workflow, seen } = configured(() => {
      if (++asked === 1) throw new ActionError('transient', 'the vault is sealed')
      return 'key of stripe'
    }, twice)
    seen.push('as if called once')

    const outcome = await kernel.start(workflow, null, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { status: 'succeeded' } })
    const [failed] = await dataOf(store, 'r', 'ActionAttemptFailed')
    expect(failed).toMatchObject({ error: { kind: 'transient', code: 'SECRET_UNRESOLVED' } })
  })

  test('that nobody knows fails the action', async () => {
    const { kernel, workflow, seen } = configured(() => {
      throw new Error('no such secret')
    }, twice)

    const outcome = await kernel.start(workflow, null)

    expect(outcome).toMatchObject({
      output: { status: 'failed', error: { code: 'SECRET_UNRESOLVED', kind: 'permanent' } },
    })
    expect(seen).toEqual([])
  })

  test('without a resolver, or with one that answers no text, parks the run', async () => {
    for (const resolve of [undefined, () => undefined as never]) {
      const { kernel, workflow } = configured(resolve)

      const starting = kernel.start(workflow, null, { runId: 'r' })

      await expect(starting).rejects.toMatchObject(kernelError('SECRET_UNRESOLVED'))
      expect((await kernel.get('r')).problem).toMatchObject({ code: 'SECRET_UNRESOLVED' })
    }
  })

  test('that is asked for when the run is canceled is told so', async () => {
    const signals: AbortSignal[] = []
    const { store, workflow } = configured()
    const resolve = async (_: string, { signal }: { signal: AbortSignal }): Promise<string> => {
      signals.push(signal)
      return new Promise(() => undefined)
    }
    const kernel = createKernel({ store, workflows: [workflow], secrets: { resolve } })
    const starting = kernel.start(workflow, null, { runId: 'r' })
    await settled()

    await kernel.cancel('r', { reason: 'enough' })

    expect(await starting).toMatchObject({ status: 'canceled' })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })
})
