import { loopRate } from './calibration.ts'
import type { PlaceName } from '../sites/site.ts'
import type { Figures, Prepared, Program } from './program.ts'

/** What one program came to in one round. */
export interface Sample {
  readonly workload: string
  readonly store: PlaceName
  readonly program: string
  readonly round: number
  /** Turns of the calibration loop per millisecond, directly before. */
  readonly loopRate: number
  readonly figures: Figures
}

/** Where something is measured. */
export interface Place {
  readonly name: PlaceName
  readonly prepare: () => Promise<Prepared>
}

/** What is measured, and how often. */
export interface RoundsOptions {
  /** Title of the workload. */
  readonly workload: string
  readonly rounds: number
  /** Rounds before the first, which count for nothing. */
  readonly warmUps: number
  /** Told what is being done. */
  readonly progress: (text: string) => void
}

/** What takes longer has warmed up by itself. */
const LONG_MS = 2_000

/**
 * Measures a workload in all its places in turns: in every round each program of each place once, those of one place right after
 * each other, every other round in the opposite order. What the machine does meanwhile hits all alike, so ratios of one
 * round are steadier than rates. Rounds before the first warm up. What collects garbage comes last, in rounds of its own.
 */
export async function measureRounds(
  places: readonly Place[],
  { workload, rounds, warmUps, progress }: RoundsOptions,
): Promise<readonly Sample[]> {
  const prepared = new Map<Place, Prepared>()
  const samples: Sample[] = []
  try {
    for (const place of places) prepared.set(place, await place.prepare())
    const measureRound = async (round: number, which: (program: Program) => boolean): Promise<void> => {
      for (const [place, { programs }] of prepared) {
        const those = programs.filter(which)
        for (const program of round % 2 === 0 ? those.toReversed() : those) {
          progress(`${workload}, ${place.name}, ${program.name}: ${round < 1 ? 'warm-up' : `round ${round}`}`)
          const measured = await measureOnce(program)
          if (round > 0)
            samples.push({ workload: workload, store: place.name, program: program.name, round, ...measured })
        }
      }
    }
    for (let round = 1 - warmUps; round <= rounds; round++) await measureRound(round, ({ collects }) => !collects)
    for (let round = 1; round <= rounds; round++) await measureRound(round, ({ collects }) => collects === true)
  } finally {
    for (const { close } of prepared.values()) await close?.()
  }
  return samples
}

/**
 * Measures a program, directly after it has run for nothing: what ran in between has driven its code and its data from the
 * caches, which costs whoever has more code more. To collect all garbage instead would drop compiled code, too.
 */
async function measureOnce(program: Program): Promise<Pick<Sample, 'loopRate' | 'figures'>> {
  const startedAt = performance.now()
  const figures = await program.measure()
  if (performance.now() - startedAt > LONG_MS) return { loopRate: loopRate(), figures }
  const rate = loopRate()
  return { loopRate: rate, figures: await program.measure() }
}
