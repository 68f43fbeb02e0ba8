import { checkOptions, isFrom, sha256, shown, type NamesOf } from '@varve/store'
import { inDefinition, KernelError } from '../errors.ts'
import { checkNames } from '../known-names.ts'
import type { AttemptFailure, Policy } from './policy.ts'

/** When a failed attempt is followed by another. Applies to `transient` and `rate-limited` failures alone. */
export interface RetryOptions {
  /** How often the action may be tried in all; the first attempt counts, one that a crash ended does not. */
  readonly maxAttempts: number
  /** Delay after the first failure, in ms. */
  readonly baseMs: number
  /** The delay grows by this factor with each failure. 1 keeps it fixed. Default 2. */
  readonly factor?: number
  /** No delay is longer, not even one that the other side asks for. Default 5 minutes. */
  readonly capMs?: number
  /**
   * `full` takes the delay from between 0 and its bound, derived from run, key and failure, so that runs spread out and
   * a replay decides alike; `none` takes the bound. Default `full`.
   */
  readonly jitter?: 'full' | 'none'
}

/** Retries failed attempts with a growing delay. */
export function retryWithBackoff(options: RetryOptions): Policy {
  checkRetry(options, 'retryWithBackoff')
  return { name: 'retry-with-backoff', retryInMs: (failure) => retryDelay(options, failure) }
}

/** How long to wait before the next attempt, in ms; undefined when there shall be none. */
export function retryDelay(options: RetryOptions, failure: AttemptFailure): number | undefined {
  const { maxAttempts, baseMs, factor = 2, capMs = 300_000, jitter = 'full' } = options
  const { kind, retryAfterMs } = failure.error
  if (kind === 'permanent' || failure.failures >= maxAttempts) return undefined
  if (retryAfterMs !== undefined) return Math.ceil(Math.min(retryAfterMs, capMs))
  // After a thousand failures the power is infinite, and zero times infinity is no number.
  const bound = baseMs === 0 ? 0 : Math.min(capMs, baseMs * factor ** (failure.failures - 1))
  return Math.ceil(jitter === 'none' ? bound : bound * share(failure))
}

/** A number in [0, 1) that depends on run, key and failure alone. */
function share({ runId, key, failures }: AttemptFailure): number {
  return Number.parseInt(sha256(JSON.stringify([runId, key, failures])).slice(0, 12), 16) / 2 ** 48
}

const OF_RETRY: NamesOf<RetryOptions> = {
  ...{ maxAttempts: true, baseMs: true, factor: true, capMs: true, jitter: true },
}

/** @throws KernelError `INVALID_DEFINITION` for options that would retry for ever, at once, or never as meant. */
export function checkRetry(options: RetryOptions, what: string): void {
  inDefinition(() => checkOptions(what, options))
  checkNames(what, options, OF_RETRY)
  const { maxAttempts, baseMs, factor = 2, capMs = 300_000, jitter = 'full' } = options
  const refuse = (field: string, value: unknown, rule: string): never => {
    throw new KernelError('INVALID_DEFINITION', `${what}: ${field} must be ${rule}, got ${shown(value)}`)
  }
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1) refuse('maxAttempts', maxAttempts, 'a whole number from 1')
  if (!isFrom(0, baseMs) || !Number.isFinite(baseMs)) refuse('baseMs', baseMs, 'a number from 0')
  if (!isFrom(1, factor) || !Number.isFinite(factor)) refuse('factor', factor, 'a number from 1')
  if (!['full', 'none'].includes(jitter)) refuse('jitter', jitter, 'full or none')
  if (!isFrom(0, capMs) || !Number.isFinite(capMs)) refuse('capMs', capMs, 'a number from 0')
}
