import { expect, test } from 'vitest'
import { measureRounds } from './measure-rounds.ts'
import type { Program } from './program.ts'

test('each round measures all programs, every other one in the opposite order, and what collects garbage comes behind all', async () => {
  const order: string[] = []
  const program = (name: string, collects?: true): Program => ({
    name,
    measure: async () => {
      order.push(name)
      return { ms: order.length }
    },
    ...(collects && { collects }),
  })
  const programs = [program('varve'), program('memory', true), program('plain')]
  const place = { name: 'memory' as const, prepare: async () => ({ programs }) }

  const options = { workload: 'W0', rounds: 2, warmUps: 1, progress: () => undefined }
  const samples = await measureRounds([place], options)

  // Each twice in a row, of which the second counts.
  const twice = (...names: string[]): string[] => names.flatMap((name) => [name, name])
  expect(order).toEqual([
    ...twice('plain', 'varve'),
    ...twice('varve', 'plain'),
    ...twice('plain', 'varve'),
    ...twice('memory', 'memory'),
  ])
  expect(samples.map((sample) => [sample.round, sample.program, sample.figures['ms']])).toEqual([
    [1, 'varve', 6],
    [1, 'plain', 8],
    [2, 'plain', 10],
    [2, 'varve', 12],
    [1, 'memory', 14],
    [2, 'memory', 16],
  ])
})
