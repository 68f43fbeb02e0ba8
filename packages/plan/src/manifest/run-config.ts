import { z } from 'zod'

/** How a run goes about its states; recorded in its manifest. */
export const runConfig = z.strictObject({
  /** Attempts at once; 1 runs the states one after the other, in topological order. */
  maxConcurrency: z.int().min(1).max(10_000).default(16),
  /**
   * What follows when a state has failed for good: `fail-fast` ends the run, `keep-going` runs all that does not depend on it
   * first. `fail-fast` waits for what is under way and must happen at most once, and for child plans that do such a thing, to their
   * end: also for one that waits for an approval. A cancel ends that.
   */
  onFailure: z.enum(['fail-fast', 'keep-going']).default('fail-fast'),
  /** States with one of these tags are skipped, and what needs them. */
  skipTags: z.array(z.string().min(1).max(200)).max(100).default([]),
  /** Child plans may nest so deep. */
  maxDepth: z.int().min(0).max(100).default(16),
  /**
   * What of the params is refused: what looks like a secret, except at the paths that are allowed (`params.hint`) and below
   * them, and numbers that are no safe integers.
   */
  secrets: z
    .union([z.enum(['refuse', 'allow']), z.strictObject({ allow: z.array(z.string().min(1).max(500)).max(100) })])
    .default('refuse'),
  numbers: z.enum(['integers', 'any']).default('integers'),
})

/** How a run goes about its states, with nothing left out. */
export type RunConfig = z.output<typeof runConfig>
