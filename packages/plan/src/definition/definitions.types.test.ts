import { secretSchema, type Secret } from '@varve/kernel'
import type { Json, StoredArtifact } from '@varve/store'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  approvalState,
  bytes,
  childState,
  createEngine,
  definePlan,
  defineState,
  mapState,
  optional,
  type Approval,
  type BytesOutput,
  type Engine,
  type Io,
  type MapEntry,
  type State,
} from '../index.ts'
import type { FetchRequest, FileRequest, ProgramRequest } from '../transports/index.ts'
import { memoryStore } from '@varve/store-memory'

// Nothing here runs: what these functions are asked for is whether they compile.

const rates = defineState({ id: 'rates', output: z.object({ eur: z.number() }), run: () => ({ eur: 1 }) })
const file = defineState({ id: 'file', output: bytes(), run: () => new Uint8Array() })
const convert = defineState({
  id: 'convert',
  needs: { rates },
  params: z.object({ cents: z.int() }),
  output: z.string(),
  run: ({ needs, params }) => String(params.cents * needs.rates.eur),
})

describe('a state asks the outside for', () => {
  interface Rates {
    readonly eur: number
    readonly note?: string
  }

  test('facts of any type that JSON keeps', () => {
    const asked = {
      anInterface: (io: Io, read: () => Promise<Rates>) => io.fact('rates', read),
      nothing: (io: Io) => io.fact('seen', () => undefined),
      // @ts-expect-error a Date does not survive JSON
      aDate: (io: Io) => io.fact('today', () => new Date()),
    }

    expectTypeOf(asked.anInterface).returns.resolves.toEqualTypeOf<Rates>()
    expectTypeOf(asked.nothing).returns.resolves.toEqualTypeOf<null>()
  })

  test('what a transport of the package answers, by the type of its request', () => {
    const asked = (io: Io, { fetch, file, program }: Requests) => [
      io.call('api', fetch),
      io.call('files', file),
      io.call('tools', program),
    ]

    expectTypeOf(asked).returns.toEqualTypeOf<Promise<Json>[]>()
  })

  interface Requests {
    readonly fetch: FetchRequest
    readonly file: FileRequest
    readonly program: ProgramRequest
  }
})

describe('what a state sees of its needs is typed', () => {
  test('by what they make', () => {
    defineState({
      ...{ id: 'a', needs: { r: rates, f: file, convert, named: 'other', maybe: optional(rates) }, output: z.null() },
      run: ({ needs }) => {
        expectTypeOf(needs.r).toEqualTypeOf<{ eur: number }>()
        expectTypeOf(needs.f).toEqualTypeOf<BytesOutput>()
        expectTypeOf(needs.convert).toBeString()
        expectTypeOf(needs.maybe).toEqualTypeOf<{ eur: number } | undefined>()
        expectTypeOf(needs).not.toHaveProperty('rats')
        expectTypeOf(needs.named).toEqualTypeOf<Json>()
        return null
      },
    })
  })

  test('as null where an output is left out, since JSON has no word for undefined', () => {
    const note = defineState({ id: 'note', output: z.string().optional(), run: () => undefined })
    const notes = mapState({
      ...{ id: 'notes', items: () => [1], key: String, output: z.int().optional() },
      run: () => undefined,
    })
    const all = defineState({
      ...{ id: 'all', needs: { note, notes, maybe: optional(note) }, output: z.unknown() },
      run: ({ needs }) => {
        expectTypeOf(needs.note).toEqualTypeOf<string | null>()
        expectTypeOf(needs.notes).toEqualTypeOf<readonly MapEntry<number | null>[]>()
        expectTypeOf(needs.maybe).toEqualTypeOf<string | null | undefined>()
      },
    })
    defineState({
      ...{ id: 'last', needs: { all }, output: z.any() },
      run: ({ needs }) => expectTypeOf(needs.all).toBeUnknown(),
    })
    const plan = definePlan({ id: 'p', version: '1', states: [note, notes], output: note })
    expectTypeOf(plan.types).toEqualTypeOf<
      { readonly params: (params: undefined) => void; readonly output: string | null } | undefined
    >()
  })

  test('also when the function stands before the needs', () => {
    defineState({
      id: 'a',
      run: ({ needs }) => {
        expectTypeOf(needs.rates.eur).toBeNumber()
        return null
      },
      output: z.null(),
      needs: { rates },
    })
  })

  test('and a state without needs sees none', () => {
    defineState({
      ...{ id: 'a', output: z.null() },
      run: ({ needs }) => {
        expectTypeOf(needs).not.toHaveProperty('rates')
        return null
      },
    })
  })

  test('by the entries of a map', () => {
    const squares = mapState({
      ...{ id: 'squares', needs: { rates }, with: { file }, params: z.object({ cents: z.int() }) },
      items: ({ needs, params }) => [{ n: needs.rates.eur * params.cents }],
      key: ({ n }, index) => `${n}-${index}`,
      output: z.boolean(),
      run: ({ item, key, needs, params }) => {
        expectTypeOf(item).toEqualTypeOf<{ n: number }>()
        expectTypeOf(key).toBeString()
        expectTypeOf(needs).toEqualTypeOf<{ readonly file: BytesOutput }>()
        expectTypeOf(params.cents).toBeNumber()
        return true
      },
    })
    defineState({
      ...{ id: 'b', needs: { squares }, output: z.null() },
      run: ({ needs }) => {
        expectTypeOf(needs.squares).toEqualTypeOf<readonly MapEntry<boolean>[]>()
        return null
      },
    })
  })

  test('by an approval, and by a child plan', () => {
    const ok = approvalState({ id: 'ok', needs: { rates }, question: ({ needs }) => needs.rates.eur })
    const inner = definePlan({ id: 'inner', version: '1', states: [rates], output: rates })
    const child = childState({ id: 'child', plan: inner, childParams: () => undefined })
    defineState({
      ...{ id: 'b', needs: { ok, child }, output: z.null() },
      run: ({ needs }) => {
        expectTypeOf(needs.ok).toEqualTypeOf<Approval>()
        expectTypeOf(needs.child).toEqualTypeOf<{ eur: number }>()
        return null
      },
    })
  })
})

describe('what a state does is checked', () => {
  test('what it returns', () => {
    // @ts-expect-error another output than it declares
    defineState({ id: 'a', output: z.number(), run: () => 'one' })
    // @ts-expect-error bytes are no text
    defineState({ id: 'a', output: bytes(), run: () => 'one' })
    defineState({ id: 'a', output: bytes(), needs: { file }, run: ({ needs }) => needs.file })
  })

  test('a cached one has no io, and neither have its items', () => {
    defineState({
      ...{ id: 'a', output: z.null(), cache: true },
      run: (context) => {
        expectTypeOf(context).not.toHaveProperty('io')
        expectTypeOf(context).not.toHaveProperty('runId')
        return null
      },
    })
    mapState({
      ...{ id: 'a', items: () => [1], key: String, output: z.null(), cache: true },
      run: (context) => {
        expectTypeOf(context).not.toHaveProperty('io')
        return null
      },
    })
    defineState({
      ...{ id: 'a', output: z.null() },
      run: (context) => {
        expectTypeOf(context.io).toEqualTypeOf<Io>()
        return null
      },
    })
  })

  test('an environment goes with the cache', () => {
    // @ts-expect-error it is not cached
    expectTypeOf(() => defineState({ id: 'a', output: z.null(), environment: ['TZ'], run: () => null })).toBeFunction()
    defineState({ id: 'a', output: z.null(), cache: true, environment: ['TZ'], run: () => null })
  })

  test('the params of a child plan', () => {
    const priced = definePlan({ id: 'p', version: '1', params: z.object({ cents: z.int() }), states: [rates] })
    // @ts-expect-error params of another type
    childState({ id: 'c', plan: priced, childParams: () => ({ cents: '5' }) })
    childState({ id: 'c', plan: priced, childParams: () => ({ cents: 5 }) })
  })
})

test('a secret in the params is opened for the code of a state, and a reference for what is pure', () => {
  const params = z.object({ host: z.string(), login: z.object({ token: secretSchema(z.string()) }) })
  defineState({
    ...{ id: 'a', params, output: z.null() },
    run: ({ params: { host, login } }) => {
      expectTypeOf(host).toBeString()
      expectTypeOf(login.token).toBeString()
      return null
    },
  })
  const branded = z.object({ flight: z.string().brand<'Flight'>(), token: secretSchema(z.string()) })
  defineState({
    ...{ id: 'c', params: branded, output: z.null() },
    run: ({ params: { flight, token } }) => {
      expectTypeOf(flight).toEqualTypeOf<z.infer<typeof branded>['flight']>()
      expectTypeOf(token).toBeString()
      return null
    },
  })
  approvalState({
    ...{ id: 'b', params },
    question: ({ params: { login } }) => {
      expectTypeOf(login.token).toEqualTypeOf<Secret<string>>()
      return null
    },
  })
})

describe('a plan does not compile', () => {
  const params = z.object({ cents: z.int() })

  test('that lacks a state which another one needs', () => {
    expectTypeOf(() => {
      // @ts-expect-error convert needs rates
      definePlan({ id: 'p', version: '1', params, states: [convert] })
      definePlan({ id: 'p', version: '1', params, states: [convert, rates] })
    }).toBeFunction()
  })

  test('that lacks a state which another one names', () => {
    expectTypeOf(() => {
      const misspelt = defineState({ id: 'a', needs: { r: 'rats' }, output: z.null(), run: () => null })
      // @ts-expect-error there are no rats
      definePlan({ id: 'p', version: '1', states: [rates, misspelt] })
    }).toBeFunction()
  })

  test('that takes other params than a state', () => {
    expectTypeOf(() => {
      // @ts-expect-error convert takes cents
      definePlan({ id: 'p', version: '1', states: [convert, rates] })
      // @ts-expect-error cents are no text
      definePlan({ id: 'p', version: '1', params: z.object({ cents: z.string() }), states: [convert, rates] })
      const maybe = defineState({ id: 'm', params: params.optional(), output: z.null(), run: () => null })
      definePlan({ id: 'p', version: '1', states: [maybe] })
      definePlan({ id: 'p', version: '1', params, states: [maybe] })
      // @ts-expect-error cents are no text, where a state can do without them, too
      definePlan({ id: 'p', version: '1', params: z.object({ cents: z.string() }), states: [maybe] })
      definePlan({
        id: 'p',
        version: '1',
        params: z.object({ cents: z.int(), more: z.int() }),
        states: [convert, rates],
      })
    }).toBeFunction()
  })

  test('whose output is none of its states', () => {
    expectTypeOf(() => {
      // @ts-expect-error the file is not in there
      definePlan({ id: 'p', version: '1', states: [rates], output: file })
    }).toBeFunction()
  })

  test('that is built from data, but for what can be known of it', () => {
    expectTypeOf(() => {
      const states: State[] = [rates, convert]
      definePlan({ id: 'p', version: '1', states })
      definePlan({ id: 'p', version: '1', states, output: states[0] as State })
    }).toBeFunction()
  })
})

describe('an engine knows the types of a plan', () => {
  const params = z.object({ cents: z.string().transform(Number) })
  const quote = definePlan({ id: 'p', version: '1', params, states: [rates, convert], output: convert })

  test('what it is started with, and what it makes', async () => {
    const use = async (engine: Engine) => {
      const outcome = await engine.start(quote, { cents: '5' })
      if (outcome.status === 'completed') expectTypeOf(outcome.output).toBeString()
      // @ts-expect-error what the schema takes, not what it makes
      await engine.start(quote, { cents: 5 })
      // @ts-expect-error params are missing
      await engine.start(quote, undefined)
      const plain = await engine.start(definePlan({ id: 'x', version: '1', states: [rates] }), undefined)
      if (plain.status === 'completed') expectTypeOf(plain.output).toBeNull()
      await engine.start(definePlan({ id: 'x', version: '1', params: z.any(), states: [rates] }), { cents: 5 })
      // @ts-expect-error there are no params
      await engine.start(definePlan({ id: 'x', version: '1', states: [rates] }), { cents: 5 })
    }
    expectTypeOf(use).toBeFunction()
  })

  test('what each state makes', async () => {
    const use = async (engine: Engine) => {
      expectTypeOf(await engine.output('r', rates)).toEqualTypeOf<{ eur: number }>()
      expectTypeOf(await engine.output('r', file)).toExtend<StoredArtifact>()
      expectTypeOf(await engine.output('r', 'rates')).toBeUnknown()
    }
    expectTypeOf(use).toBeFunction()
  })

  test('plans of all types, side by side', () => {
    createEngine({ store: memoryStore(), plans: [quote, definePlan({ id: 'x', version: '1', states: [rates] })] })
  })
})
