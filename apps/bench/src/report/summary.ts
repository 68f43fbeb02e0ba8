import type { Sample } from '../rounds/measure-rounds.ts'
import type { PlaceName } from '../sites/site.ts'
import { spreadOf, type Spread } from '../statistics.ts'

/** One figure of one program on one store, over the rounds. */
export interface Summary extends Spread {
  readonly workload: string
  readonly store: PlaceName
  readonly program: string
  readonly figure: string
}

/** In the order in which they were measured first. */
export function summariesOf(samples: readonly Sample[]): readonly Summary[] {
  const values = samples.flatMap(({ workload, store, program, figures }) =>
    Object.entries(figures).map(([figure, value]) => ({ of: { workload, store, program, figure }, value })),
  )
  const groups = Map.groupBy(values, ({ of }) => JSON.stringify(of))
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    return first === undefined ? [] : [{ ...first.of, ...spreadOf(group.map(({ value }) => value)) }]
  })
}
