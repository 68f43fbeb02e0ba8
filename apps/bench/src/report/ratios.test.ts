import { describe, expect, test } from 'vitest'
import { REFERENCE_LOOP_RATE } from '../rounds/calibration.ts'
import type { Sample } from '../rounds/measure-rounds.ts'
import type { Target } from '../targets.ts'
import { ratiosOf } from './ratios.ts'

/** One sample for each round, with these rates. */
function samplesOf(program: string, rates: readonly number[], loopRate = REFERENCE_LOOP_RATE): readonly Sample[] {
  return rates.map((rate, at) => ({
    ...{ workload: 'W', store: 'memory', program, round: at + 1, loopRate },
    figures: { 'steps/s': rate },
  }))
}

const half = { workload: 'W', stores: ['memory'], figure: 'steps/s', of: 'varve', to: 'plain', atLeast: 0.5 } as const

function ratioOf(samples: readonly Sample[], target: Target) {
  return ratiosOf(samples, [target])[0]
}

describe('a ratio', () => {
  test('is taken of each round, and then the middle of them', () => {
    const samples = [...samplesOf('varve', [10, 60, 35]), ...samplesOf('plain', [100, 100, 50])]

    expect(ratioOf(samples, half)).toMatchObject({ median: 0.6, min: 0.1, max: 0.7, verdict: 'met' })
  })

  test.for([
    ['met', [50, 50, 20]],
    ['close', [40, 40, 50]],
    ['missed', [40, 40, 49]],
  ] as const)('of a rate is %s by the rounds %j of 100', ([verdict, rates]) => {
    const samples = [...samplesOf('varve', rates), ...samplesOf('plain', [100, 100, 100])]

    expect(ratioOf(samples, half)?.verdict).toBe(verdict)
  })

  test.for([
    ['met', [200, 200, 300]],
    ['close', [201, 201, 200]],
    ['missed', [300, 300, 201]],
  ] as const)('of a time is %s by the rounds %j of 100', ([verdict, times]) => {
    const samples = [...samplesOf('varve', times), ...samplesOf('plain', [100, 100, 100])]
    const { atLeast: _, ...rest } = half

    expect(ratioOf(samples, { ...rest, atMost: 2 })?.verdict).toBe(verdict)
  })

  test('is left out where one of its programs was not measured', () => {
    expect(ratiosOf(samplesOf('varve', [1, 2]), [half])).toEqual([])
  })

  test('to the machine asks more of a fast one, and gives a slow one more time', () => {
    const { to: _, atLeast: __, ...rest } = half
    const fast = samplesOf('varve', [100], 2 * REFERENCE_LOOP_RATE)
    const slow = samplesOf('varve', [100], REFERENCE_LOOP_RATE / 2)

    expect(ratioOf(fast, { ...rest, perMachine: 100, atLeast: 1 })?.median).toBe(0.5)
    expect(ratioOf(slow, { ...rest, perMachine: 100, atMost: 1 })?.median).toBe(0.5)
  })

  test('takes off what another program took in the same round', () => {
    const samples = [...samplesOf('varve', [7, 9]), ...samplesOf('plain', [4, 5])]
    const { to: _, atLeast: __, ...rest } = half

    expect(ratioOf(samples, { ...rest, less: 'plain', atMost: 4 })).toMatchObject({ min: 3, max: 4, verdict: 'met' })
  })
})
