import { weaknessesOfDrivers } from './weaknesses-of-drivers.ts'
import { weaknessesOfLogs } from './weaknesses-of-logs.ts'

/** Where a weakness is shown to be absent. */
export interface WeaknessTest {
  /** Of the original kernel, by its number in section 4 of the specification. */
  readonly weakness: string
  /** How it is absent here. */
  readonly why: string
  /** Relative to this folder, without `.test.ts`. */
  readonly file: string
  /** Title of the test. */
  readonly test: string
}

/** A weakness, or the part of one, that no test shows absent. */
export interface OpenPart {
  readonly weakness: string
  readonly reason: string
}

/** Numbers of the weaknesses that concern the kernel, the log or replay: sections 4.1 to 4.3. */
export const weaknessNames: readonly string[] = Array.from({ length: 37 }, (_, i) => `W${i + 1}`)

/** Every weakness with the tests that show it absent. */
export const weaknessTests: readonly WeaknessTest[] = Object.entries({
  ...weaknessesOfDrivers,
  ...weaknessesOfLogs,
}).flatMap(([weakness, tests]) => tests.map(([why, file, test]) => ({ weakness, why, file, test })))

/** Weaknesses that have tests, but a part that none shows absent. */
export const openParts: readonly OpenPart[] = [
  { weakness: 'W23', reason: 'Logs are not archived or cut: a long run continues as a new one.' },
  { weakness: 'W27', reason: 'There are no upcasters: every release reads the one format that there is.' },
  {
    weakness: 'W36',
    reason: 'Events carry no trace id, and their cause only where they have a key, a parent or an actor.',
  },
]
