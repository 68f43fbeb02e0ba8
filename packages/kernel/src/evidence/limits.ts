import { checkOptions, defaultLimits, shown, type Limits, type NamesOf } from '@varve/store'
import { KernelError } from '../errors.ts'
import { checkNames } from '../known-names.ts'
import { PART_BYTES } from './bundle-line.ts'
import { checkGiven } from './given.ts'

/** How much a reader of foreign bundles takes. */
export interface EvidenceLimits extends Pick<Limits, 'depth' | 'bodyBytes' | 'keptSignals' | 'runEvents'> {
  /** Runs of one bundle, those that it only names included. Default 10,000. */
  readonly runs: number
  /** How many times over a run may have been forked. Default 100: each costs a hash of the copied events. */
  readonly forks: number
  /** Artifacts that the runs of one bundle refer to. Default 1,000,000. */
  readonly artifacts: number
}

/** Whoever reads a bundle with the limits of a kernel need not take out those that it does not ask for. */
const NAMES: NamesOf<Limits & EvidenceLimits> = {
  ...{ depth: true, bodyBytes: true, appendBytes: true, appendEvents: true, waitingPosts: true, keptSignals: true },
  ...{ runEvents: true, sealedBytes: true, runs: true, forks: true, artifacts: true },
}

/** @throws KernelError `INVALID_INPUT` for limits that are none, and one that is no whole number from 1. */
export function evidenceLimits(given: Partial<EvidenceLimits> = {}): EvidenceLimits {
  const { depth, bodyBytes, keptSignals, runEvents } = defaultLimits
  const usual = { depth, bodyBytes, keptSignals, runEvents, runs: 10_000, forks: 100, artifacts: 1_000_000 }
  checkGiven(() => checkOptions('limits', given))
  checkNames('limits', given, NAMES, 'INVALID_INPUT')
  const limits = { ...usual, ...given }
  for (const [name, value] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value >= 1) continue
    throw new KernelError('INVALID_INPUT', `limits.${name} must be a whole number from 1, got ${shown(value)}`)
  }
  return limits
}

/** Bytes of the longest line: a body may consist of characters that a line escapes, and has an envelope around it. */
export function lineBytes({ bodyBytes }: EvidenceLimits): number {
  return 2 * Math.max(bodyBytes, PART_BYTES) + 4096
}
