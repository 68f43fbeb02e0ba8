import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { PlanError } from '../errors.ts'
import { planError } from '../testing/expected-errors.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import type { AnyState } from './need.ts'
import { mapState } from './map-state.ts'
import { definePlan } from './plan.ts'
import { defineState } from './state.ts'

function refused(define: () => unknown): PlanError {
  try {
    define()
  } catch (error) {
    if (error instanceof PlanError) return error
    throw error
  }
  throw new Error('it was not refused')
}

function orderOf(states: readonly AnyState[]): readonly string[] {
  return planOf(states).definition.graph.nodes.map(({ id }) => id)
}

describe('a plan is refused', () => {
  test('that has no states', () => {
    expect(refused(() => planOf([]))).toMatchObject(planError('EMPTY_PLAN'))
  })

  test('with two states of one id, which it names', () => {
    const error = refused(() => planOf([namedState('a'), namedState('b'), namedState('a')]))

    expect(error).toMatchObject({ ...planError('DUPLICATE_STATE'), details: { state: 'a' } })
  })

  test('that lacks a state which another one needs, by its id', () => {
    const error = refused(() => planOf([namedState('a', ['gone'])]))

    expect(error).toMatchObject({ ...planError('MISSING_STATE'), details: { state: 'a', missing: 'gone' } })
  })

  test('that lacks a state which another one needs, by reference', () => {
    const gone = namedState('gone')
    const a = defineState({ id: 'a', needs: { gone }, output: z.null(), run: () => null })

    expect(refused(() => planOf([a]))).toMatchObject({
      ...planError('MISSING_STATE'),
      details: { state: 'a', missing: 'gone' },
    })
  })

  test('that lacks a state which another one comes after', () => {
    const a = defineState({ id: 'a', after: ['gone'], output: z.null(), run: () => null })

    expect(refused(() => planOf([a]))).toMatchObject(planError('MISSING_STATE'))
  })

  test('that lacks a state which the items of a map see', () => {
    const a = mapState({
      ...{ id: 'a', with: { gone: 'gone' }, items: () => [1], key: String },
      ...{ output: z.null(), run: () => null },
    })

    expect(refused(() => planOf([a]))).toMatchObject({
      ...planError('MISSING_STATE'),
      details: { state: 'a', missing: 'gone' },
    })
  })

  test('that has another state under the id of the one that is needed', () => {
    const meant = namedState('rates')
    const a = defineState({ id: 'a', needs: { meant }, output: z.null(), run: () => null })

    const error = refused(() => planOf([namedState('rates'), a]))

    expect(error).toMatchObject(planError('MISSING_STATE'))
    expect(error.message).toContain('another one of that id')
  })

  test('whose output is none of its states', () => {
    const [a, other] = [namedState('a'), namedState('b')]

    const error = refused(() => definePlan({ id: 'p', version: '1', states: [a] as AnyState[], output: other }))

    expect(error).toMatchObject({ ...planError('MISSING_STATE'), details: { missing: 'b' } })
  })

  test('whose output is another state of an id that it has', () => {
    const error = refused(() =>
      definePlan({ id: 'p', version: '1', states: [namedState('a')] as AnyState[], output: namedState('a') }),
    )

    expect(error).toMatchObject(planError('MISSING_STATE'))
  })

  test('with a circle, whose path it tells in the direction in which states run', () => {
    const states = [
      namedState('start'),
      namedState('a', ['start', 'c']),
      namedState('b', ['a']),
      namedState('c', ['b']),
    ]

    const error = refused(() => planOf([...states, namedState('behind', ['c'])]))

    expect(error).toMatchObject(planError('CIRCULAR_DEPENDENCY'))
    const cycle = error.details['cycle'] as readonly string[]
    expect(cycle).toHaveLength(4)
    expect(cycle[0]).toBe(cycle[3])
    for (const [i, id] of cycle.slice(1).entries()) {
      expect({ a: ['start', 'c'], b: ['a'], c: ['b'] }[id]).toContain(cycle[i])
    }
    expect(error.message).toContain(cycle.join(' -> '))
  })

  test('with a state that needs itself', () => {
    const error = refused(() => planOf([namedState('a', ['a'])]))

    expect(error).toMatchObject({ ...planError('CIRCULAR_DEPENDENCY'), details: { cycle: ['a', 'a'] } })
  })

  test('with a state that comes after itself', () => {
    const a = defineState({ id: 'a', after: ['a'], output: z.null(), run: () => null })

    expect(refused(() => planOf([a]))).toMatchObject(planError('CIRCULAR_DEPENDENCY'))
  })

  test('for the first of its faults in the order empty, duplicate, missing, circle', () => {
    const circle = [namedState('x', ['y']), namedState('y', ['x'])]
    const missing = namedState('m', ['gone'])

    expect(refused(() => planOf([...circle, missing, namedState('x')])).code).toBe('DUPLICATE_STATE')
    expect(refused(() => planOf([...circle, missing])).code).toBe('MISSING_STATE')
    expect(refused(() => planOf(circle)).code).toBe('CIRCULAR_DEPENDENCY')
  })
})

describe('the order of states', () => {
  test('is that of declaration, where dependencies leave a choice', () => {
    expect(orderOf(['d', 'b', 'c', 'a'].map((id) => namedState(id)))).toEqual(['d', 'b', 'c', 'a'])
  })

  test('takes the states that become free behind all that are free already', () => {
    const states = [namedState('z', ['a']), namedState('a'), namedState('b'), namedState('y', ['b'])]

    expect(orderOf(states)).toEqual(['a', 'b', 'z', 'y'])
  })

  test('does not mind a state that needs another one twice', () => {
    const a = namedState('a')
    const b = defineState({ id: 'b', needs: { one: a, two: a }, after: [a], output: z.null(), run: () => null })

    expect(orderOf([b, a])).toEqual(['a', 'b'])
  })

  test('puts a map behind what its items see', () => {
    const a = mapState({
      ...{ id: 'a', with: { b: 'b' }, items: () => [1], key: String },
      ...{ output: z.null(), run: () => null },
    })

    expect(orderOf([a, namedState('b')])).toEqual(['b', 'a'])
  })
})

/** Edges by position, each to one that comes later in a hidden order; `shuffle` is the order of declaration. */
const graphs = fc.integer({ min: 1, max: 300 }).chain((size) =>
  fc.record({
    edges: fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: size * 3 }),
    shuffle: fc.shuffledSubarray(
      Array.from({ length: size }, (_, i) => i),
      { minLength: size, maxLength: size },
    ),
  }),
)

test(
  'every graph without circles is sorted stably: always the free state that became free first',
  { timeout: 30_000 },
  () => {
    fc.assert(
      fc.property(graphs, ({ edges, shuffle }) => {
        const needs = new Map<number, Set<number>>(shuffle.map((at) => [at, new Set()]))
        for (const [a, b] of edges) if (a !== b) needs.get(Math.max(a, b))?.add(Math.min(a, b))
        const declared = shuffle.map((at) =>
          namedState(
            `s${at}`,
            [...(needs.get(at) ?? [])].map((from) => `s${from}`),
          ),
        )

        expect(orderOf(declared)).toEqual(slowOrder(declared))
      }),
      { numRuns: 60 },
    )
  },
)

/** The same order by its definition, in quadratic time: whoever became free earliest; of those, as their last need counts them. */
function slowOrder(states: readonly AnyState[]): readonly string[] {
  const waiting = new Map(states.map(({ id, node }) => [id, new Set(node.edges.map((edge) => edge.id))]))
  const queue = states.filter(({ id }) => waiting.get(id)?.size === 0).map(({ id }) => id)
  const order: string[] = []
  while (queue.length > 0) {
    const next = queue.shift() as string
    order.push(next)
    for (const { id } of states) {
      const needs = waiting.get(id)
      if (needs?.delete(next) === true && needs.size === 0) queue.push(id)
    }
  }
  return order
}

describe('a chain of 10,000 states', { timeout: 30_000 }, () => {
  const chain = (first: readonly string[]) => [
    namedState('s0', first),
    ...Array.from({ length: 9999 }, (_, i) => namedState(`s${i + 1}`, [`s${i}`])),
  ]

  test('is sorted, also when it is declared backwards', () => {
    const order = orderOf(chain([]).reverse())

    expect([order[0], order[9999]]).toEqual(['s0', 's9999'])
  })

  test('that is closed to a circle is refused with the whole circle', () => {
    const error = refused(() => planOf(chain(['s9999'])))

    expect(error.code).toBe('CIRCULAR_DEPENDENCY')
    expect(error.details['cycle']).toHaveLength(10_001)
    expect(error.message.length).toBeLessThan(2000)
  })
})
