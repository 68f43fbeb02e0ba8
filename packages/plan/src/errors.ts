import { CodedError, isCodedError, refusing, type CodedErrorOptions, type Json } from '@varve/store'

/**
 * What can be wrong with a plan, or keep one from being run or looked at.
 *
 * | code | meaning |
 * |---|---|
 * | `EMPTY_PLAN`, `DUPLICATE_STATE`, `MISSING_STATE`, `CIRCULAR_DEPENDENCY` | the graph is none; `details.cycle` is the cycle's path |
 * | `INVALID_DEFINITION` | an id, an option or a combination of options that no plan accepts |
 * | `INVALID_PARAMS` | the params fail their schema, or a run config or an option of a verb is none; with its path |
 * | `SECRET_IN_MANIFEST`, `INEXACT_NUMBER` | the manifest would hold something that looks like a secret, or a number that is no safe integer |
 * | `RUN_EXISTS` | the run id belongs to a run of another plan, params or config |
 * | `RUN_NOT_FOUND`, `NOT_A_PLAN_RUN` | there is no such run, or it was not started by an engine |
 * | `STATE_NOT_FOUND`, `NO_OUTPUT` | the plan has no such state, or the state has no output (yet) |
 * | `PLAN_MISSING` | no plan of that id and version is registered, and no resolver knows it |
 * | `PLAN_CHANGED` | the plan that is registered is not the one that the run was started with; `details.changes` says where |
 * | `MANIFEST_CORRUPT` | the manifest is gone, or is not the one that the run has pinned |
 * | `IN_DOUBT` | a fork would do again what must happen at most once, and may have happened |
 * | `MISSING_FACT`, `LIVE_IO_IN_REPLAY` | a replay needs what was not recorded |
 * | `IO_IN_PURE_STATE` | a cached state reached for `io` |
 * | `TRANSPORT_MISSING` | `io.call` names a transport that is not registered |
 * | `NOT_REPRODUCIBLE` | a cached state made another output from the same inputs than before |
 * | `OUTPUT_INVALID` | a state's output fails its schema, or is not what the state declares |
 * | `APPROVAL_REFUSED`, `APPROVAL_EXPIRED` | an approval was answered with no, or not in time |
 * | `DUPLICATE_ITEM` | two items of a map have the same key |
 * | `CHILD_FAILED`, `TOO_DEEP` | a child plan did not complete; child plans nest too deep |
 * | `TIMEOUT` | a state that is replayed or remade takes longer than its `timeoutMs` |
 * | `STATES_FAILED` | two states or more failed, in a run that kept going or at once; names them. One alone fails the run with its own error |
 */
export type PlanErrorCode =
  | 'EMPTY_PLAN'
  | 'DUPLICATE_STATE'
  | 'MISSING_STATE'
  | 'CIRCULAR_DEPENDENCY'
  | 'INVALID_DEFINITION'
  | 'INVALID_PARAMS'
  | 'SECRET_IN_MANIFEST'
  | 'INEXACT_NUMBER'
  | 'RUN_EXISTS'
  | 'RUN_NOT_FOUND'
  | 'NOT_A_PLAN_RUN'
  | 'STATE_NOT_FOUND'
  | 'NO_OUTPUT'
  | 'PLAN_MISSING'
  | 'PLAN_CHANGED'
  | 'MANIFEST_CORRUPT'
  | 'IN_DOUBT'
  | 'MISSING_FACT'
  | 'LIVE_IO_IN_REPLAY'
  | 'IO_IN_PURE_STATE'
  | 'TRANSPORT_MISSING'
  | 'NOT_REPRODUCIBLE'
  | 'OUTPUT_INVALID'
  | 'APPROVAL_REFUSED'
  | 'APPROVAL_EXPIRED'
  | 'DUPLICATE_ITEM'
  | 'CHILD_FAILED'
  | 'TOO_DEEP'
  | 'TIMEOUT'
  | 'STATES_FAILED'

/** What a plan error carries besides its code and its text. */
export interface PlanErrorOptions extends CodedErrorOptions {
  /** What code may want to know of it: never a value from outside. */
  readonly details?: Readonly<Record<string, Json>>
}

/** An error of a plan or of the engine. Test it with {@link isPlanError}, not with `instanceof`. */
export class PlanError extends CodedError<PlanErrorCode> {
  /** What code may want to know of it, such as the path of a cycle. */
  readonly details: Readonly<Record<string, Json>>
  /** Recorded with the failure of a state: trying again does not help. */
  readonly kind = 'permanent'

  constructor(code: PlanErrorCode, text: string, options: PlanErrorOptions = {}) {
    const { details = {}, ...rest } = options
    super('Plan', code, text, rest)
    this.details = details
  }
}

/** True for a {@link PlanError} from whichever installed copy; with a code, for that code alone. */
export function isPlanError(error: unknown, code?: PlanErrorCode): error is PlanError {
  return isCodedError(error, 'Plan', code)
}

/** What a check that all layers share refuses is refused as a definition. @throws PlanError `INVALID_DEFINITION`. */
export function asDefinition<A extends readonly unknown[]>(check: (...given: A) => void, ...given: A): void {
  refusing(
    () => {
      check(...given)
    },
    (text, cause) => new PlanError('INVALID_DEFINITION', text, { cause }),
  )
}
