import { CodedError, isCodedError, refusing, type CodedErrorOptions, type Json } from '@varve/store'

/**
 * What can go wrong in the kernel.
 *
 * | code | meaning |
 * |---|---|
 * | `INVALID_DEFINITION` | a workflow, policy or kernel option that can never work |
 * | `INVALID_INPUT` | an input or an answer that fails its schema |
 * | `RUN_EXISTS` | the run id is taken by a run of another workflow or input |
 * | `RUN_NOT_FOUND`, `RUN_TERMINAL`, `NOT_OPEN` | unknown run; it has ended; no such item is open in it |
 * | `NOT_IN_DOUBT` | a verdict on an action that nobody doubts |
 * | `POISONED` | every process that drove the run died before anything came of it |
 * | `WORKFLOW_MISSING` | the run's workflow, or its version, is not registered here |
 * | `CODE_CHANGED` | the code decides otherwise than the log says it did |
 * | `REUSE_GONE` | a fork reuses results of a log that is not there any more |
 * | `REUSE_IN_DOUBT` | a fork asks for an at-most-once action that the forked run may have done, nobody knows |
 * | `NO_PROGRESS` | the step wants nothing that is not done already |
 * | `KEY_REUSED` | the step asks a key again with another input |
 * | `STEP_FAILED`, `REDUCER_FAILED`, `POLICY_FAILED` | the step, the reducer, or the policy or a label threw |
 * | `NONDETERMINISM` | a function that has to be pure used the clock, randomness, a timer, `fetch` or a process |
 * | `INVALID_STEP` | the step answered something that is no decision |
 * | `UNKNOWN_ACTION` | the step asks for an action that the workflow does not define |
 * | `FACT_MISMATCH` | a fact is asked for with another request than it was recorded, or is being read, with |
 * | `FACT_CYCLE` | the reading of a fact waits for itself |
 * | `STATE_NOT_JSON` | the state cannot be kept in a snapshot |
 * | `INVALID_LOG` | events that cannot follow each other, or whose data has the wrong shape |
 * | `LIMIT_EXCEEDED` | the run has grown beyond a limit |
 * | `LEASE_LOST` | this process lost the run to another one |
 * | `DRAINED` | this process gave the run up between two attempts, for whoever drives it next |
 * | `SECRET_GONE` | a secret that is needed was erased |
 * | `SECRET_KEY_MISSING`, `SECRET_CORRUPT`, `SECRET_UNRESOLVED` | no key for it; not the value that was sealed; a name without a value |
 * | `KERNEL_CLOSED` | the kernel was disposed |
 */
export type KernelErrorCode =
  | 'INVALID_DEFINITION'
  | 'INVALID_INPUT'
  | 'RUN_EXISTS'
  | 'RUN_NOT_FOUND'
  | 'RUN_TERMINAL'
  | 'NOT_OPEN'
  | 'NOT_IN_DOUBT'
  | 'WORKFLOW_MISSING'
  | 'CODE_CHANGED'
  | 'REUSE_GONE'
  | 'REUSE_IN_DOUBT'
  | 'NO_PROGRESS'
  | 'KEY_REUSED'
  | 'STEP_FAILED'
  | 'REDUCER_FAILED'
  | 'POLICY_FAILED'
  | 'NONDETERMINISM'
  | 'INVALID_STEP'
  | 'UNKNOWN_ACTION'
  | 'FACT_MISMATCH'
  | 'FACT_CYCLE'
  | 'STATE_NOT_JSON'
  | 'INVALID_LOG'
  | 'LIMIT_EXCEEDED'
  | 'LEASE_LOST'
  | 'DRAINED'
  | 'SECRET_GONE'
  | 'SECRET_KEY_MISSING'
  | 'SECRET_CORRUPT'
  | 'SECRET_UNRESOLVED'
  | 'KERNEL_CLOSED'
  | 'POISONED'

/** What a kernel error carries besides its code and its text. */
export interface KernelErrorOptions extends CodedErrorOptions {
  readonly divergence?: Divergence
}

/** Where recorded decisions and the code part. */
export interface Divergence {
  readonly seq: number
  /** What the log holds at `seq`; absent when the code decides more than was recorded. */
  readonly recorded?: { readonly type: string; readonly data: Json }
  /** What the code decides there now; absent when it decides nothing. */
  readonly decided?: { readonly type: string; readonly data: Json }
  /** Path of the first difference, such as `data.input.cents`. */
  readonly path: string
}

/** An error of the kernel. Test it with {@link isKernelError}, not with `instanceof`. */
export class KernelError extends CodedError<KernelErrorCode> {
  /** With `CODE_CHANGED`: the first decision that differs. */
  readonly divergence: Divergence | undefined

  constructor(code: KernelErrorCode, text: string, options: KernelErrorOptions = {}) {
    const { divergence, ...rest } = options
    super('Kernel', code, text, rest)
    this.divergence = divergence
  }
}

/** True for a {@link KernelError} from whichever installed copy; with a code, for that code alone. */
export function isKernelError(error: unknown, code?: KernelErrorCode): error is KernelError {
  return isCodedError(error, 'Kernel', code)
}

/**
 * Checks what stands in a definition by the store's checks.
 *
 * @throws KernelError `INVALID_DEFINITION` instead of a StoreError.
 */
export function inDefinition(check: () => void): void {
  refusing(check, (text, cause) => new KernelError('INVALID_DEFINITION', text, { cause }))
}

/** A thrown value as text, whatever was thrown. */
export function textOf(thrown: unknown): string {
  try {
    // An error whose message is no text is an error all the same.
    const said: unknown = thrown instanceof Error ? thrown.message : thrown
    if (typeof said === 'string') return said
    const text = JSON.stringify(said) as string | undefined
    return text ?? typeof said
  } catch {
    return typeof thrown
  }
}
