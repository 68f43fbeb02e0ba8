import process from 'node:process'

/** True for `node run.mjs test:chaos --long`: more runs, and a minute of faults. */
export const isLong = process.env['VARVE_CHAOS_TESTS'] === 'long'

/** How much of it there is in each form. */
export const depth = isLong
  ? { postgres: { runs: 2000, forMs: 60_000 }, sqlite: { runs: 2000, forMs: 60_000 }, patienceMs: 120_000 }
  : { postgres: { runs: 200, forMs: 8000 }, sqlite: { runs: 100, forMs: 5000 }, patienceMs: 30_000 }

/** How long a test may take, in ms. */
export const PATIENCE_MS = isLong ? 900_000 : 120_000
