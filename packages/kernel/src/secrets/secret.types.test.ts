import { memoryStore } from '@varve/store-memory'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secretSchema } from './secret-schema.ts'
import { secret, secretRef, type Secret } from './secret.ts'

// Nothing here runs: what these functions are asked for is whether they compile.

const base = { name: 'w', version: '1', input: z.object({ user: z.string(), token: secretSchema(z.string()) }) }
const actions = {
  call: {
    run: (input: { token: string; count?: number; list: readonly string[] }) => ({ ok: input.token.length > 0 }),
  },
  login: { run: () => ({ session: secret({ id: 'x', until: 1 }) }) },
  pick: { run: (mode: 'fast' | 'slow') => mode },
}

test('a workflow passes secrets on and reads none', () => {
  defineWorkflow(
    { ...base, actions },
    {
      step: ({ input }, next) => {
        expectTypeOf(input.token).toEqualTypeOf<Secret<string>>()
        // @ts-expect-error a secret is no text
        next.complete(input.token.length)
        // @ts-expect-error a secret is no text
        const read: string = input.token
        next.complete(read)
        next.run('call', { token: input.token, list: ['plain', input.token, secretRef('name')] })
        next.run('call', { token: 'plain', list: [] })
        // @ts-expect-error a secret of another type
        next.run('call', { token: secret(1), list: [] })
        // @ts-expect-error an input of another type
        next.run('call', { token: 1, list: [] })
        // @ts-expect-error a part that is missing
        next.run('call', { token: input.token })
        next.run('pick', 'fast')
        // @ts-expect-error another text
        next.run('pick', 'other')
        return next.continueAsNew({ user: input.user, token: input.token })
      },
    },
  )
})

test('what a handler answers as secret reaches the reducer as secret', () => {
  defineWorkflow(
    { ...base, actions, initialState: () => ({ session: null as null | Secret<{ id: string; until: number }> }) },
    {
      reduce: (state, event) => {
        if (event.type === 'ActionSucceeded' && event.data.action === 'login') {
          expectTypeOf(event.data.output.session).toExtend<Secret<{ id: string; until: number }>>()
          return { session: event.data.output.session }
        }
        return state
      },
      step: (_, next) => next.complete(null),
    },
  )
})

test('whoever starts a run marks what its input says is secret', () => {
  const keys = secretSchema(z.object({ all: z.array(z.number()) }))
  const spec = { ...base, input: base.input.extend({ keys }) }
  const workflow = defineWorkflow(spec, { step: (_, next) => next.complete(1) })
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

  const starting = async (): Promise<void> => {
    await kernel.start(workflow, { user: 'ada', token: secret('x'), keys: secret({ all: [1] }) })
    // @ts-expect-error text that is not marked
    await kernel.start(workflow, { user: 'ada', token: 'x', keys: secret({ all: [] }) })
    // @ts-expect-error a secret that is no text
    await kernel.start(workflow, { user: 'ada', token: secret(1), keys: secret({ all: [] }) })
    // @ts-expect-error what is no secret
    await kernel.start(workflow, { user: secret('ada'), token: secret('x'), keys: secret({ all: [] }) })
  }
  expectTypeOf(starting).returns.resolves.toBeVoid()
})
