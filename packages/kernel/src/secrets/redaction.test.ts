import { describe, expect, test } from 'vitest'
import { ActionError } from '../policy/action-error.ts'
import { dataOf } from '../testing/sealed-log.ts'
import { everythingOf, secretRun, TOKEN, type CallInput } from '../testing/secret-run.ts'
import { secret } from './secret.ts'

const input = { user: 'ada', token: secret(TOKEN) }

describe('a handler that says its secret', () => {
  test.for([
    ['in a message', ({ token }: CallInput) => new Error(`401 for ${token}`), '401 for [secret]'],
    ['in JSON', (given: CallInput) => new Error(JSON.stringify(given)), '{"path":"/users/ada","token":"[secret]"}'],
    ['twice', ({ token }: CallInput) => new TypeError(`${token}${token}`), '[secret][secret]'],
    ['as what it throws', ({ token }: CallInput) => token, '[secret]'],
    ['in an object that it throws', ({ token }: CallInput) => ({ token }), '{"token":"[secret]"}'],
  ] as const)('%s of a failure has it recorded without', async ([, thrown, message]) => {
    const { store, kernel, workflow } = secretRun((given) => {
      throw thrown(given) as Error
    })

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { message } } })
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in the name of a property of what cannot be recorded has the reason recorded without', async () => {
    const { store, kernel, workflow } = secretRun(({ token }) => ({ sessions: { [token]: new Date(0) } }))

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'NOT_JSON' } } })
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in a path that is too long to be shown has no part of it recorded', async () => {
    const cyclic: Record<string, unknown> = {}
    const { store, kernel, workflow } = secretRun(({ token }) => {
      cyclic[`${'x'.repeat(100)}${token}`] = cyclic
      return { cyclic }
    })

    await kernel.start(workflow, input, { runId: 'r' })

    expect(await everythingOf(store, 'r')).not.toContain(TOKEN.slice(0, 6))
  })

  test('at the end of a message that is cut off has no part of it recorded', async () => {
    const { store, kernel, workflow } = secretRun(({ token }) => {
      throw new Error(`${'x'.repeat(3990)}${token}`)
    })

    await kernel.start(workflow, input, { runId: 'r' })

    expect(await everythingOf(store, 'r')).not.toContain(TOKEN.slice(0, 6))
  })

  test('in the name or the code of an error has it recorded without, and policies are told without', async () => {
    const told: unknown[] = []
    const policy = { name: 'listening', retryInMs: (failure: unknown) => void told.push(failure) }
    const { store, kernel, workflow } = secretRun(
      ({ token }) => {
        throw Object.assign(new ActionError('transient', 'no', { code: token }), { name: `E ${token}` })
      },
      {},
      { policy },
    )

    await kernel.start(workflow, input, { runId: 'r' })

    const [failed] = await dataOf(store, 'r', 'ActionFailed')
    expect(failed).toMatchObject({ error: { name: 'E [secret]', code: '[secret]' } })
    expect(JSON.stringify(told)).not.toContain(TOKEN)
  })

  test('to a policy that throws in its turn has the problem of the run say it without', async () => {
    const classify = (thrown: unknown): never => {
      throw thrown as Error
    }
    const { store, kernel, workflow } = secretRun(
      ({ token }) => {
        throw new Error(`401 for ${token}`)
      },
      {},
      { policy: { name: 'strict', classify } },
    )

    await expect(kernel.start(workflow, input, { runId: 'r' })).rejects.not.toThrow(TOKEN)

    expect((await kernel.get('r')).problem).toMatchObject({ code: 'POLICY_FAILED' })
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in the reason of a doubt, and in an inquiry, has it recorded and warned of without', async () => {
    const warnings: Error[] = []
    const outcomes = [
      ({ token }: CallInput): never => {
        throw new Error(`asking with ${token}`)
      },
      ({ token }: CallInput) => ({ status: 'failed', message: `refused ${token}` }) as const,
    ]
    const { store, kernel, workflow } = secretRun(
      ({ token }) => {
        throw new Error(`sent ${token}`)
      },
      { effect: 'at-most-once', reconcile: (given: CallInput) => outcomes.shift()!(given) },
      { onWarning: (warning) => warnings.push(warning) },
    )

    await kernel.start(workflow, input, { runId: 'r' })
    const outcome = await kernel.settle('r', { key: 'call', outcome: { status: 'retry' } })

    expect(await dataOf(store, 'r', 'ActionInDoubt')).toMatchObject([
      { reason: 'sent [secret]' },
      { reason: 'sent [secret]' },
    ])
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/: asking with \[secret\]$/)])
    expect(warnings[0]?.cause).toBeUndefined()
    expect(outcome).toMatchObject({ output: { error: { message: 'refused [secret]' } } })
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in its output has it recorded without, and is told of that', async () => {
    const warnings: Error[] = []
    const { store, kernel, workflow } = secretRun(
      ({ token }) => ({ url: `https://x/?t=${token}`, [token]: 1, kept: secret(token), n: 1 }),
      {},
      { onWarning: (warning) => warnings.push(warning) },
    )

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(outcome).toMatchObject({
      output: { output: { url: 'https://x/?t=[secret]', '[secret]': 1, kept: { $secret: /./ }, n: 1 } },
    })
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('return secret(value) to pass it on'),
    ])
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in a fact has it recorded, and given out, without; one that is marked is refused', async () => {
    const warnings: Error[] = []
    const { store, kernel, workflow } = secretRun(
      async ({ token }, { fact }) => [
        await fact('seen', () => ({ url: `https://x/?t=${token}` }), { request: { token } }),
        await fact('kept', () => secret(token) as never).catch((error: unknown) => (error as { code: string }).code),
      ],
      {},
      { onWarning: (warning) => warnings.push(warning) },
    )

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { output: [{ url: 'https://x/?t=[secret]' }, 'NOT_JSON'] } })
    expect(warnings.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^the fact seen of .* is not recorded$/),
    )
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in a name of what it has used has the amount recorded without, and its work is kept', async () => {
    const { store, kernel, workflow } = secretRun(({ token }, { use }) => {
      use({ [`calls.${token}`]: 1 })
      return 'done'
    })

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { status: 'succeeded', output: 'done' } })
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toMatchObject([{ usage: { 'calls.secret': 1 } }])
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in the key of a fact is refused, for that is recorded as it is', async () => {
    const { store, kernel, workflow } = secretRun(({ token }, { fact }) =>
      fact(`quote for ${token}`, () => 1).catch((error: unknown) => String(error)),
    )

    const outcome = await kernel.start(workflow, input, { runId: 'r' })

    expect(outcome).toMatchObject({ output: { output: expect.stringContaining('a key of a fact') as string } })
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })

  test('in an output that no log takes fails as any such output does', async () => {
    const { kernel, workflow } = secretRun(({ token }) => {
      const cycle: Record<string, unknown> = { token }
      return Object.assign(cycle, { cycle })
    })

    const outcome = await kernel.start(workflow, input)

    expect(outcome).toMatchObject({ output: { status: 'failed', error: { code: 'LIMIT_EXCEEDED' } } })
  })

  test('once it has timed out says it to nobody', async () => {
    const late = Promise.withResolvers<undefined>()
    const { store, kernel, workflow, clock } = secretRun(
      async ({ token }) => {
        await late.promise
        throw new Error(token)
      },
      { timeoutMs: 100 },
    )
    const starting = kernel.start(workflow, input, { runId: 'r' })
    await clock.advance(0)
    await clock.advance(100)
    late.resolve(undefined)

    expect(await starting).toMatchObject({ output: { error: { code: 'TIMEOUT' } } })
    expect(await everythingOf(store, 'r')).not.toContain(TOKEN)
  })
})
