import { randomUUID } from 'node:crypto'
import { defineWorkflow, secret, secretKeys, secretSchema, type Secret } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { crashMatrix } from '../crash-matrix.ts'
import { outcomeAndState } from './outcome-and-state.ts'

const sealed = (id: string) => ({ $secret: id, commitment: `of ${id}` })
const compared = (state: unknown) =>
  outcomeAndState({
    ...{ runId: 'r', workflow: 'w', state },
    outcome: { status: 'completed', runId: 'r', output: null },
  })

describe('what is compared of a run that holds secrets', () => {
  test('is the same whatever they are sealed as', () => {
    expect(compared({ a: sealed('x'), b: [sealed('y'), 1] })).toEqual(compared({ a: sealed('p'), b: [sealed('q'), 1] }))
  })

  test('is the same whatever the order of the keys', () => {
    expect(compared({ a: sealed('x'), b: sealed('y') })).toEqual(compared({ b: sealed('q'), a: sealed('p') }))
  })

  test('is not the same where one stands in the place of another', () => {
    const once = compared({ a: sealed('x'), b: sealed('y'), c: sealed('y') })

    expect(compared({ a: sealed('x'), b: sealed('y'), c: sealed('x') })).not.toEqual(once)
    expect(compared({ a: sealed('x'), b: sealed('y') })).not.toEqual(once)
    expect(compared({ a: sealed('x'), b: sealed('y'), c: 'y' })).not.toEqual(once)
  })

  test('leaves what is no JSON as it is', () => {
    const seen = new Map([['a', 1]])

    expect(compared({ seen })).toEqual({ outcome: expect.anything() as unknown, state: { seen } })
  })
})

test('a workflow that is given secrets, and makes one, passes every case', async () => {
  interface Renewal {
    readonly old: Secret<string>
    readonly fresh?: Secret<string>
    readonly used: boolean
  }
  const renewal = defineWorkflow(
    {
      ...{ name: 'renewal', version: '1', input: z.object({ token: secretSchema(z.string()) }) },
      actions: {
        renew: { run: () => ({ token: secret(randomUUID()) }) },
        use: { run: (tokens: { readonly old: string; readonly fresh: string }) => tokens.old.length },
      },
      initialState: ({ token }): Renewal => ({ old: token, used: false }),
    },
    {
      reduce(state, event) {
        if (event.type !== 'ActionSucceeded') return state
        if (event.data.action === 'use') return { ...state, used: true }
        return { ...state, fresh: event.data.output.token }
      },
      step({ old, fresh, used }, next) {
        if (fresh === undefined) return next.run('renew')
        return used ? next.complete({ fresh }) : next.run('use', { old, fresh })
      },
    },
  )

  const { cases, runs } = await crashMatrix({
    open: memoryStore,
    workflows: () => ({ renewal }),
    begin: ({ kernel, workflows }) =>
      kernel.start(workflows.renewal, { token: secret('tok-12345') }, { runId: 'renewal-1' }),
    kernel: { secrets: { keys: secretKeys({ current: 'k', keys: { k: new Uint8Array(32) } }) } },
  })

  expect(cases).toBeGreaterThan(100)
  expect(runs.get('renewal-1')).toMatchObject({
    outcome: { output: { fresh: { $secret: 1 } } },
    state: { fresh: { $secret: 1 }, old: { $secret: 2 } },
  })
})
