import { KernelError, textOf } from '../errors.ts'
import { boundedHint, isHint } from './action-error.ts'
import type { Classification, Denial, Policy } from './policy.ts'

/**
 * What a policy answers.
 *
 * @param redact - takes secrets out of what it throws, where it was shown what a handler threw.
 * @throws KernelError `POLICY_FAILED` when it throws, or answers what cannot be.
 */
export function askPolicy<T>({ name }: Policy, ask: () => T, redact?: (text: string) => string): T {
  try {
    return ask()
  } catch (cause) {
    const text = `the policy ${name} threw: ${textOf(cause)}`
    throw new KernelError('POLICY_FAILED', redact?.(text) ?? text, redact === undefined ? { cause } : {})
  }
}

/** What a policy written in JavaScript answers may be anything; the log takes texts. */
export function denialOf(denial: Denial | undefined, method: 'authorize' | 'authorizeRetry'): Denial | undefined {
  if (denial === undefined) return undefined
  const { policy, reason, code } = denial as { readonly [F in keyof Denial]: unknown }
  if (typeof policy === 'string' && typeof reason === 'string' && (code === undefined || typeof code === 'string')) {
    return { policy, reason, ...(code !== undefined && { code }) }
  }
  throw new TypeError(`${method} must answer undefined or { policy, reason, code? }, and not a promise`)
}

const KINDS: readonly unknown[] = ['transient', 'permanent', 'rate-limited']

/** As {@link denialOf}, for what an error means. */
export function classificationOf(answer: Classification | undefined): Classification | undefined {
  if (answer === undefined) return undefined
  const { kind, retryAfterMs } = answer
  const known = KINDS.includes(kind)
  if (known && retryAfterMs === undefined) return { kind }
  if (known && isHint(retryAfterMs)) return { kind, retryAfterMs: boundedHint(retryAfterMs) }
  throw new TypeError('classify must answer undefined or { kind, retryAfterMs? }, and not a promise')
}
