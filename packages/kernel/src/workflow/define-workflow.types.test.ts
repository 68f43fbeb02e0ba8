import { memoryStore } from '@varve/store-memory'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { Outcome } from '../driver/outcome.ts'
import type { ActionContext } from './action.ts'
import { defineWorkflow, type Workflow } from './define-workflow.ts'
import type { ItemResult } from './results-state.ts'

// Nothing here runs: what these functions are asked for is whether they compile.

const base = { name: 'w', version: '1', input: z.object({ email: z.string() }) }
const actions = {
  createAccount: { run: (input: { email: string }) => ({ id: input.email.length }) },
  ping: { run: () => undefined },
  load: { run: async (id: number) => Promise.resolve([String(id)]) },
}
const interrupts = { approve: { ask: z.object({ text: z.string() }), answer: z.object({ ok: z.boolean() }) } }
const events = { moved: z.object({ to: z.string() }) }
const signals = { paid: z.object({ cents: z.string().transform(Number) }), stopped: z.null() }
const initialState = (input: { email: string }) => ({ email: input.email, id: 0 })

describe('what a step asks for is checked', () => {
  test('names and inputs of actions', () => {
    defineWorkflow(
      { ...base, actions },
      {
        step: (_, next) => {
          // @ts-expect-error no such action
          next.run('createAcount', { email: 'a' })
          // @ts-expect-error an input of another type
          next.run('createAccount', { email: 1 })
          // @ts-expect-error an input that is missing
          next.run('createAccount')
          // @ts-expect-error an action without an input
          next.run('ping', 1)
          next.run('ping')
          next.run('ping', null, { key: 'p' })
          next.run('load', 1, { key: 'l' })
          return next.run('createAccount', { email: 'a' })
        },
      },
    )
  })

  test('kinds and questions of interrupts', () => {
    defineWorkflow(
      { ...base, interrupts },
      {
        step: (_, next) => {
          // @ts-expect-error no such interrupt
          next.interrupt('aprove', { text: 'ok?' })
          // @ts-expect-error a question of another type
          next.interrupt('approve', { text: 1 })
          return next.interrupt('approve', { text: 'ok?' }, { key: 'k' })
        },
      },
    )
  })

  test('names of signals, and times', () => {
    defineWorkflow(
      { ...base, signals },
      {
        step: (_, next) => {
          // @ts-expect-error no such signal
          next.waitFor('payed')
          // @ts-expect-error a time that is text
          next.waitFor('paid', { timeoutMs: '1s' })
          // @ts-expect-error a time that is text
          next.sleep('1s')
          // @ts-expect-error a time that is missing
          next.sleep()
          return next.all([next.waitFor('paid', { key: 'k', timeoutMs: 1 }), next.sleep(1, { key: 's' })])
        },
      },
    )
    defineWorkflow(base, {
      step: (_, next) => {
        // @ts-expect-error there are no signals
        next.waitFor('anything')
        return next.complete(1)
      },
    })
  })

  test('inputs of children', () => {
    const child = defineWorkflow(
      { name: 'child', version: '1', input: z.object({ n: z.string().transform(Number) }) },
      { step: (_, next) => next.complete(1) },
    )
    defineWorkflow(base, {
      step: (_, next) => {
        // @ts-expect-error the child's schema takes text
        next.child(child, { n: 1 })
        // @ts-expect-error an input that is missing
        next.child(child)
        // @ts-expect-error a name is no workflow
        next.child('child', { n: '1' })
        return next.child(child, { n: '1' }, { key: 'c', version: '2' })
      },
    })
  })

  test('the input that a run continues with: what its schema takes, not what it makes of it', () => {
    defineWorkflow(
      { name: 'w', version: '1', input: z.object({ n: z.string().transform(Number) }) },
      {
        step: ({ input }, next) => {
          // @ts-expect-error the schema takes text
          next.continueAsNew({ n: input.n })
          // @ts-expect-error an input that is missing
          next.continueAsNew()
          return next.continueAsNew({ n: String(input.n - 1) }, { version: '1' })
        },
      },
    )
  })

  test('a clean-up cannot end the run', () => {
    defineWorkflow({ ...base, actions }, { step: (_, next) => next.complete(1), cancel: (_, next) => next.run('ping') })
    defineWorkflow(base, { step: (_, next) => next.complete(1), cancel: () => undefined })
    defineWorkflow(base, {
      step: (_, next) => next.complete(1),
      // @ts-expect-error the run is canceled already
      cancel: (_, next) => next.complete(1),
    })
    defineWorkflow(base, {
      step: (_, next) => next.complete(1),
      // @ts-expect-error it can neither fail
      cancel: (_, next) => next.fail('no'),
    })
  })

  test('names and payloads of events', () => {
    defineWorkflow(
      { ...base, events },
      {
        step: (_, next) => {
          // @ts-expect-error no such event
          next.emit({ type: 'DomainEvent', name: 'flown', payload: { to: 'x' } })
          // @ts-expect-error a payload of another type
          next.emit({ type: 'DomainEvent', name: 'moved', payload: { to: 1 } })
          // @ts-expect-error an event of the kernel
          next.emit({ type: 'Completed', output: 1 })
          return next.emit(
            { type: 'StateUpdated', payload: 1 },
            { type: 'DomainEvent', name: 'moved', payload: { to: 'x' } },
          )
        },
      },
    )
  })

  test('a workflow without actions can ask for none', () => {
    defineWorkflow(base, {
      step: (_, next) => {
        // @ts-expect-error there are no actions
        next.run('anything')
        return next.complete(1)
      },
    })
  })

  test('what is no decision is no answer', () => {
    // @ts-expect-error a step that answers nothing
    defineWorkflow(base, { step: () => undefined })
    // @ts-expect-error a step that answers a promise
    defineWorkflow(base, { step: async (_, next) => Promise.resolve(next.complete(1)) })
  })
})

describe('types are inferred', () => {
  test('the output of a run, from all the ends that a step can answer', () => {
    const workflow = defineWorkflow(
      { ...base, actions },
      {
        step: ({ results }, next) => {
          if (results['ping']) return next.complete({ ok: true, n: 1 })
          return results['load'] ? next.fail('no') : next.run('ping')
        },
      },
    )

    expectTypeOf(workflow).toExtend<Workflow<{ email: string }, { readonly ok: true; readonly n: 1 }>>()
    const start = () => createKernel({ store: memoryStore(), workflows: [workflow] }).start(workflow, { email: 'a' })
    expectTypeOf(start).returns.resolves.toEqualTypeOf<Outcome<{ readonly ok: true; readonly n: 1 }>>()
  })

  test('the input that start takes', () => {
    const workflow = defineWorkflow(
      { name: 'w', version: '1', input: z.object({ n: z.string().transform(Number) }) },
      {
        step: ({ input }, next) => {
          expectTypeOf(input).toEqualTypeOf<{ n: number }>()
          return next.complete(input.n)
        },
      },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })
    const starts = {
      well: () => kernel.start(workflow, { n: '1' }),
      // @ts-expect-error the schema takes text
      badly: () => kernel.start(workflow, { n: 1 }),
      // @ts-expect-error an input that is missing
      withNothing: () => kernel.start(workflow),
    }

    expectTypeOf(starts.well).returns.resolves.toEqualTypeOf<Outcome<number>>()
  })

  test('the state, from the initial state', () => {
    defineWorkflow(
      { ...base, initialState },
      {
        reduce: (state, event) => {
          expectTypeOf(state).toEqualTypeOf<{ email: string; id: number }>()
          if (event.type === 'RunStarted') expectTypeOf(event.data.input).toEqualTypeOf<{ email: string }>()
          return state
        },
        step: (state, next) => {
          expectTypeOf(state).toEqualTypeOf<{ email: string; id: number }>()
          return next.complete(state.id)
        },
      },
    )
  })

  test('the literals that a reducer answers, from the state that they are for', () => {
    interface Order {
      readonly status: 'new' | 'paid'
      readonly by?: string
    }
    const order = { ...base, actions, initialState: (): Order => ({ status: 'new' }) }

    const chosen = defineWorkflow(order, {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, status: 'paid' } : state),
      step: (state, next) => next.complete(state.status),
    })
    defineWorkflow(order, {
      reduce(state, event) {
        if (event.type === 'ActionSucceeded' && event.data.action === 'ping') return { status: 'paid' }
        return state
      },
      step: (state, next) => next.complete(state.status),
    })
    defineWorkflow(order, {
      // @ts-expect-error no such status
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, status: 'payed' } : state),
      step: (state, next) => next.complete(state.status),
    })

    expectTypeOf(chosen).toExtend<Workflow<{ email: string }, 'new' | 'paid', Order>>()
  })

  test('the state, from what begins and folds it, whatever part of it a step asks for', () => {
    interface Order {
      readonly id: number
      readonly email: string
    }
    const order = { ...base, actions, initialState: ({ email }: { email: string }): Order => ({ email, id: 0 }) }

    const part = defineWorkflow(order, {
      reduce: (state) => ({ ...state, id: 1 }),
      step: (state: { readonly id: number }, next) => next.complete(state.id),
      cancel: (state: { readonly email: string | null }, next) =>
        state.email === null ? undefined : next.run('load', 1),
    })
    defineWorkflow(order, {
      reduce: (state) => ({ ...state, id: 1 }),
      step: (state, next) => {
        expectTypeOf(state).toEqualTypeOf<Order>()
        return next.complete(state.id)
      },
    })
    // @ts-expect-error the stock state has no email
    defineWorkflow(base, { step: (state: { readonly email: string }, next) => next.complete(state.email) })

    expectTypeOf(part).toExtend<Workflow<{ email: string }, number, Order>>()
  })

  test('the results of actions, answers and events in a reducer, each by its name', () => {
    defineWorkflow(
      { ...base, initialState, actions, interrupts, events },
      {
        reduce: (state, event) => {
          if (event.type === 'ActionSucceeded') {
            if (event.data.action === 'createAccount') expectTypeOf(event.data.output).toEqualTypeOf<{ id: number }>()
            if (event.data.action === 'ping') expectTypeOf(event.data.output).toEqualTypeOf<null>()
            if (event.data.action === 'load') expectTypeOf(event.data.output).toEqualTypeOf<string[]>()
          }
          if (event.type === 'ActionFailed') {
            expectTypeOf(event.data.action).toEqualTypeOf<'createAccount' | 'ping' | 'load'>()
          }
          if (event.type === 'Resumed') expectTypeOf(event.data.value).toEqualTypeOf<{ ok: boolean }>()
          if (event.type === 'DomainEvent') expectTypeOf(event.data.payload).toEqualTypeOf<{ to: string }>()
          // @ts-expect-error attempts do not reach a reducer
          if (event.type === 'ActionAttemptFailed') return state
          return state
        },
        step: (_, next) => next.complete(null),
      },
    )
  })

  test('what else closes an item in a reducer, each with the name of what it closes', () => {
    defineWorkflow(
      { ...base, initialState, interrupts, signals },
      {
        reduce: (state, event) => {
          if (event.type === 'SignalDelivered') {
            if (event.data.signal === 'paid') expectTypeOf(event.data.value).toEqualTypeOf<{ cents: number }>()
            if (event.data.signal === 'stopped') expectTypeOf(event.data.value).toEqualTypeOf<null>()
          }
          if (event.type === 'WaitTimedOut') expectTypeOf(event.data.signal).toEqualTypeOf<'paid' | 'stopped'>()
          if (event.type === 'InterruptExpired') expectTypeOf(event.data.kind).toEqualTypeOf<'approve'>()
          if (event.type === 'TimerFired') expectTypeOf(event.data).toEqualTypeOf<{ readonly key: string }>()
          if (event.type === 'ChildCompleted') expectTypeOf(event.data.workflow).toEqualTypeOf<string>()
          if (event.type === 'CancelRequested') expectTypeOf(event.data.reason).toEqualTypeOf<string>()
          if (event.type === 'ItemDropped') {
            expectTypeOf(event.data.outcome).toEqualTypeOf<'not started' | 'unknown'>()
          }
          // @ts-expect-error arrivals do not reach a reducer
          if (event.type === 'SignalReceived') return state
          return state
        },
        step: (_, next) => next.complete(null),
      },
    )
  })

  test('an output of undefined as the null that is recorded', () => {
    const nothing = defineWorkflow(base, { step: (_, next) => next.complete(undefined) })
    const maybe = defineWorkflow(base, { step: ({ input }, next) => next.complete(input.email === '' ? undefined : 1) })

    expectTypeOf(nothing).toExtend<Workflow<{ email: string }, null>>()
    expectTypeOf(maybe).toExtend<Workflow<{ email: string }, 1 | null>>()
  })

  test('a step that continues has the output of its ends alone', () => {
    const workflow = defineWorkflow(base, {
      step: ({ input }, next) => (input.email === '' ? next.complete('done') : next.continueAsNew({ email: '' })),
    })

    expectTypeOf(workflow).toExtend<Workflow<{ email: string }, 'done'>>()
  })

  test('without a reducer the state is the input and the results', () => {
    defineWorkflow(
      { ...base, actions },
      {
        step: (state, next) => {
          expectTypeOf(state.input).toEqualTypeOf<{ email: string }>()
          expectTypeOf(state.results['ping']).toEqualTypeOf<ItemResult | undefined>()
          return next.complete(null)
        },
      },
    )
  })

  test('the same whatever the order of the properties', () => {
    const inOrder = defineWorkflow(
      { name: 'w', version: '1', input: base.input, actions, interrupts, events, initialState },
      {
        reduce: (state, event) =>
          event.type === 'ActionSucceeded' && event.data.action === 'createAccount'
            ? { ...state, id: event.data.output.id }
            : state,
        step: (state, next) =>
          state.id > 0 ? next.complete(state.email) : next.run('createAccount', { email: state.email }),
      },
    )
    const permuted = defineWorkflow(
      {
        ...{ events },
        initialState: (input) => ({ email: input.email, id: 0 }),
        interrupts,
        actions: {
          load: { run: async (id: number) => Promise.resolve([String(id)]) },
          ping: { run: () => undefined },
          createAccount: { run: (input: { email: string }) => ({ id: input.email.length }) },
        },
        input: base.input,
        version: '1',
        name: 'w',
      },
      {
        step: (state, next) =>
          state.id > 0 ? next.complete(state.email) : next.run('createAccount', { email: state.email }),
        reduce: (state, event) =>
          event.type === 'ActionSucceeded' && event.data.action === 'createAccount'
            ? { ...state, id: event.data.output.id }
            : state,
      },
    )

    expectTypeOf(permuted).toEqualTypeOf(inOrder)
    expectTypeOf(inOrder).toExtend<Workflow<{ email: string }, string, { email: string; id: number }>>()
  })

  test('a handler’s input from its own annotation, beside a context that needs none', () => {
    defineWorkflow(
      {
        ...base,
        actions: {
          act: {
            run: (input: { n: number }, ctx) => {
              expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>()
              expectTypeOf(ctx.attempt).toEqualTypeOf<number>()
              return input.n
            },
          },
        },
      },
      { step: (_, next) => next.run('act', { n: 1 }) },
    )
  })
})

describe('what JSON cannot keep does not compile', () => {
  const step = (_: unknown, next: { complete: (output: null) => { kind: 'complete'; output: null } }) =>
    next.complete(null)

  test('in a state', () => {
    const reduce = <S>(state: S): S => state
    // @ts-expect-error a Date is no JSON
    defineWorkflow({ ...base, initialState: () => ({ at: new Date() }) }, { reduce, step })
    // @ts-expect-error a Map is no JSON
    defineWorkflow({ ...base, initialState: () => ({ seen: new Map<string, number>() }) }, { reduce, step })
    // @ts-expect-error a Set, deep inside
    defineWorkflow({ ...base, initialState: () => ({ a: [{ b: new Set<string>() }] }) }, { reduce, step })
    // @ts-expect-error a BigInt is no JSON
    defineWorkflow({ ...base, initialState: () => ({ cents: 1n }) }, { reduce, step })
    // @ts-expect-error a function is no JSON
    defineWorkflow({ ...base, initialState: () => ({ later: () => 1 }) }, { reduce, step })
    // @ts-expect-error a symbol is no JSON
    defineWorkflow({ ...base, initialState: () => ({ s: Symbol('s') }) }, { reduce, step })
    // @ts-expect-error a Date, one of several types of a property
    defineWorkflow({ ...base, initialState: () => ({ at: null as Date | null }) }, { reduce, step })
  })

  test('in the output of an action', () => {
    // @ts-expect-error a Date is no JSON
    defineWorkflow({ ...base, actions: { act: { run: () => new Date() } } }, { step })
    // @ts-expect-error a Map, in a promise
    defineWorkflow({ ...base, actions: { act: { run: async () => Promise.resolve({ m: new Map() }) } } }, { step })
    // @ts-expect-error a BigInt is no JSON
    defineWorkflow({ ...base, actions: { act: { run: () => [1n] } } }, { step })
    // @ts-expect-error a function is no JSON
    defineWorkflow({ ...base, actions: { act: { run: () => ({ f: () => 1 }) } } }, { step })
  })

  test('in the input of an action', () => {
    // @ts-expect-error a Date is no JSON
    defineWorkflow({ ...base, actions: { act: { run: (_: { at: Date }) => null } } }, { step })
    // @ts-expect-error a Map is no JSON
    defineWorkflow({ ...base, actions: { act: { run: (_: Map<string, string>) => null } } }, { step })
    // @ts-expect-error a BigInt is no JSON
    defineWorkflow({ ...base, actions: { act: { run: (_: { cents: bigint }) => null } } }, { step })
    // @ts-expect-error a function is no JSON
    defineWorkflow({ ...base, actions: { act: { run: (_: { f: () => void }) => null } } }, { step })
    // @ts-expect-error null comes in the place of undefined
    defineWorkflow({ ...base, actions: { act: { run: (_?: { n: number }) => null } } }, { step })
    // @ts-expect-error null comes in the place of undefined
    defineWorkflow({ ...base, actions: { act: { run: (_: string | undefined) => null } } }, { step })
    defineWorkflow({ ...base, actions: { act: { run: (_: string | null) => null } } }, { step })
  })

  test('in a fact', () => {
    const asks = (ctx: ActionContext) => [
      // @ts-expect-error a Date is no JSON
      ctx.fact('now', () => new Date()),
      // @ts-expect-error a Map, in a promise
      ctx.fact('seen', async () => Promise.resolve(new Map<string, number>())),
      // @ts-expect-error a Date, beside options
      ctx.fact('now', () => ({ at: new Date() }), { scope: 'attempt' }),
    ]
    const keeps = (ctx: ActionContext) => ctx.fact('rates', async () => Promise.resolve({ eur: 1 }), { request: 'ecb' })

    expectTypeOf(asks).returns.toBeArray()
    expectTypeOf(keeps).returns.resolves.toEqualTypeOf<{ eur: number }>()
  })

  test('and a label takes the input of its action', () => {
    const run = ({ model }: { model: string }) => model
    const withTool = { tool: ({ model }: { model: string }) => model, run }
    const withProvider = { provider: (_: unknown) => undefined, tool: 'llm', run }
    defineWorkflow({ ...base, actions: { withTool, withProvider } }, { step })
    // @ts-expect-error the action takes no number
    defineWorkflow({ ...base, actions: { act: { tool: (n: number) => `${n}`, run } } }, { step })
    // @ts-expect-error the action's input has no name
    defineWorkflow({ ...base, actions: { act: { provider: (i: { name: string }) => i.name, run } } }, { step })
  })

  test('while what it can keep does', () => {
    interface Tree {
      readonly name: string
      readonly children: readonly Tree[]
      readonly note?: string | undefined
    }
    defineWorkflow(
      {
        ...base,
        initialState: () => ({ tree: { name: 'a', children: [] }, tags: ['a'] as readonly string[], any: 1 }),
        actions: {
          unknownIn: { run: (_: unknown) => null },
          nothing: { run: () => undefined },
          later: { run: async () => Promise.resolve() },
          tree: { run: (tree: Tree): Tree => tree },
          union: { run: (_: 'a' | 1 | null): { ok: true } | { ok: false; why: string } => ({ ok: true }) },
        },
      },
      { reduce: (state) => state, step: (_, next) => next.run('union', 'a') },
    )
  })
})
