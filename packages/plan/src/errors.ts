import { CodedError, isCodedError, type CodedErrorOptions } from '@varve/store'

/**
 * What can go wrong in plans.
 *
 * | code | meaning |
 * |---|---|
 * | `INVALID_DEFINITION` | a plan, state or transport option that can never work |
 * | `SECRET_IN_MANIFEST` | a value that would be kept for good looks like a secret |
 * | `INEXACT_NUMBER` | a number that is not whole, or that JSON does not keep exactly |
 */
export type PlanErrorCode = 'INVALID_DEFINITION' | 'SECRET_IN_MANIFEST' | 'INEXACT_NUMBER'

/** An error of the plan engine. Test it with {@link isPlanError}, not with `instanceof`. */
export class PlanError extends CodedError<PlanErrorCode> {
  constructor(code: PlanErrorCode, text: string, options?: CodedErrorOptions) {
    super('Plan', code, text, options)
  }
}

/** True for a {@link PlanError} from whichever installed copy; with a code, for that code alone. */
export function isPlanError(error: unknown, code?: PlanErrorCode): error is PlanError {
  return isCodedError(error, 'Plan', code)
}
