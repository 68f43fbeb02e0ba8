import type { PlanErrorCode } from '../errors.ts'

/** What an error of a plan looks like, for `toMatchObject`. */
export function planError(code: PlanErrorCode): { readonly name: 'PlanError'; readonly code: PlanErrorCode } {
  return { name: 'PlanError', code }
}
