import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ranks, type Ranked } from './ranks.ts'

/** Few ranks, so that many are equal, and those that are no whole or finite numbers. */
const rank = fc.oneof(fc.nat(8), fc.constantFrom(-1, 0.5, Infinity, 1_700_000_000_000))

type Command =
  | { readonly do: 'add'; readonly rank: number }
  | { readonly do: 'delete'; readonly which: number }
  | { readonly do: 'upTo'; readonly rank: number }

const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('add' as const), rank }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('upTo' as const), rank }) },
  ),
  { maxLength: 120, size: 'max' },
)

const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)

describe('ranks', () => {
  test('answer what a list that is searched would, whatever is added and taken out', () => {
    const play = (given: readonly Command[]): void => {
      const ranks = new Ranks<number>()
      const model: Ranked<number>[] = []
      let value = 0
      for (const command of given) {
        if (command.do === 'add') model.push(ranks.add(value++, command.rank))
        if (command.do === 'delete' && model.length > 0) {
          const [gone] = model.splice(command.which % model.length, 1)
          ranks.delete(gone as Ranked<number>)
        }
        if (command.do === 'upTo') {
          const found = model.filter(({ rank }) => rank <= command.rank).map(({ value }) => value)
          expect(sorted(ranks.upTo(command.rank))).toEqual(sorted(found))
        }
        expect(ranks.size).toBe(model.length)
        expect(ranks.first?.rank).toBe(model.length === 0 ? undefined : Math.min(...model.map(({ rank }) => rank)))
      }
    }

    fc.assert(fc.property(commands, play), { numRuns: 300 })
  })

  test('look at few of many to find those of a low rank', () => {
    let looks = 0
    const ranks = new Ranks<number>()
    for (let i = 0; i < 10_000; i++) {
      const place = (i * 7919) % 10_000
      Object.defineProperty(ranks.add(place, place), 'rank', {
        get: () => {
          looks++
          return place
        },
      })
    }

    looks = 0

    expect(sorted(ranks.upTo(2))).toEqual([0, 1, 2])
    expect(looks).toBeLessThanOrEqual(7)
  })
})
