import { REFERENCE_LOOP_RATE } from '../rounds/calibration.ts'
import type { Sample } from '../rounds/measure-rounds.ts'
import type { PlaceName } from '../sites/site.ts'
import { spreadOf, type Spread } from '../statistics.ts'
import type { Target } from '../targets.ts'

/** A target on one store, next to what was reached. */
export interface Ratio extends Spread, Omit<Target, 'stores'> {
  readonly store: PlaceName
  /** `close`: the median misses it, the best round does not. `missed`: so does the best round. */
  readonly verdict: 'met' | 'close' | 'missed'
}

/** What was reached of the targets whose programs were measured: the median over the rounds, each with its own ratio. */
export function ratiosOf(samples: readonly Sample[], targets: readonly Target[]): readonly Ratio[] {
  return targets.flatMap(({ stores, ...target }) =>
    stores.flatMap((store) => {
      const rounds = roundsOf(samples, target, store)
      if (rounds.length === 0) return []
      const spread = spreadOf(rounds)
      return [{ store, ...target, ...spread, verdict: verdictOf(target, spread) }]
    }),
  )
}

/** One value for each round in which all that takes part was measured. */
function roundsOf(samples: readonly Sample[], target: Omit<Target, 'stores'>, store: PlaceName): readonly number[] {
  const { workload, figure, of, to, less } = target
  const here = samples.filter((sample) => sample.workload === workload && sample.store === store)
  const figureOf = (program: string | undefined, round: number): number | undefined =>
    here.find((sample) => sample.program === program && sample.round === round)?.figures[figure]
  return here
    .filter(({ program }) => program === of)
    .flatMap(({ round, figures, loopRate }) => {
      const value = figures[figure]
      const divisor = to === undefined ? machineDivisor(target, loopRate) : figureOf(to, round)
      const taken = less === undefined ? 0 : figureOf(less, round)
      return value === undefined || divisor === undefined || taken === undefined ? [] : [(value - taken) / divisor]
    })
}

/** A rate grows with the machine, a time shrinks. */
function machineDivisor({ perMachine, atLeast }: Omit<Target, 'stores'>, loopRate: number): number {
  if (perMachine === undefined) return 1
  const speed = loopRate / REFERENCE_LOOP_RATE
  return atLeast === undefined ? perMachine / speed : perMachine * speed
}

function verdictOf({ atLeast, atMost }: Omit<Target, 'stores'>, { median, min, max }: Spread): Ratio['verdict'] {
  const reaches = (value: number): boolean => value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity)
  if (reaches(median)) return 'met'
  return reaches(atLeast === undefined ? min : max) ? 'close' : 'missed'
}
