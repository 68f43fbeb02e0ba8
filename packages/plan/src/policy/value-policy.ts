import type { Json } from '@varve/store'
import { PlanError } from '../errors.ts'
import { findInexactNumber } from './find-inexact-number.ts'
import { findSecret } from './find-secret.ts'

/** What may be in a value that is kept for good, such as a manifest. It is JSON, so that it can be kept with it. */
export interface ValuePolicy {
  /** What looks like a secret is refused, except at these paths and below them, or let through everywhere. */
  readonly secrets: 'refuse' | 'allow' | { readonly allow: readonly string[] }
  /** Whole numbers that every reader of JSON keeps, or any. */
  readonly numbers: 'integers' | 'any'
}

/**
 * Makes sure that a value keeps to a policy.
 *
 * @param what - what the value is called in paths, such as `manifest`.
 * @throws PlanError `SECRET_IN_MANIFEST` | `INEXACT_NUMBER` with the path and what to do, and without the value.
 */
export function checkValues(what: string, value: Json, policy: ValuePolicy): void {
  if (policy.secrets !== 'allow') {
    const allow = policy.secrets === 'refuse' ? [] : policy.secrets.allow
    const secret = findSecret(value, { name: what, allow })
    if (secret !== undefined) throw secretError(secret.path, secret.why)
  }
  if (policy.numbers === 'any') return
  const inexact = findInexactNumber(value, what)
  if (inexact !== undefined) throw numberError(inexact.path)
}

function secretError(path: string, why: string): PlanError {
  const allowed = `secrets: { allow: [${JSON.stringify(path)}] }`
  const remedy = `refer to it with secretRef(), or if it is none, allow it in the config by ${allowed}`
  return new PlanError('SECRET_IN_MANIFEST', `${path} looks like a secret: ${why}; ${remedy}`, { path })
}

function numberError(path: string): PlanError {
  const remedy = "count in a smaller unit, write it as text, or set numbers: 'any' in the config"
  return new PlanError('INEXACT_NUMBER', `${path} is no whole number that JSON keeps exactly; ${remedy}`, { path })
}
