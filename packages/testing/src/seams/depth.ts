import process from 'node:process'
import type { CrashMatrixOptions } from '../crash-matrix.ts'

/** True for `node run.mjs test:crash --long`: every pair on every store, and far more interleavings. */
export const isLong = process.env['VARVE_CRASH_TESTS'] === 'long'

/** Pairs of points that are played: all of them in the long form. */
export function pairsOf(short: NonNullable<CrashMatrixOptions['pairs']>): NonNullable<CrashMatrixOptions['pairs']> {
  return isLong ? 'all' : short
}

/** Deaths before and after appends and handlers: where what is durable, or what has happened, changes. */
export function isDecisive(point: string): boolean {
  return /^(append|action):\d+:(before|after)$/.test(point)
}

/** How long a test may take, in ms. */
export const PATIENCE_MS = isLong ? 7_200_000 : 120_000
