import { median } from '../statistics.ts'

/** Turns per millisecond of {@link loopRate} on the machine to which rates and times of the targets refer. */
export const REFERENCE_LOOP_RATE = 900_000

const SLICES = 9
const TURNS = 1_000_000

let sink = 0

/** How fast this machine is just now: turns of a fixed loop per millisecond, the middle of some short measures. */
export function loopRate(): number {
  return median(
    Array.from({ length: SLICES }, () => {
      const startedAt = performance.now()
      turn()
      return TURNS / (performance.now() - startedAt)
    }),
  )
}

/** What it comes to is kept, so that no compiler leaves it out. */
function turn(): void {
  let hash = sink
  for (let n = 0; n < TURNS; n++) hash = Math.imul(hash ^ n, 16_777_619)
  sink = hash
}
