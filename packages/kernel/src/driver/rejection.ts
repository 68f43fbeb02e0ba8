import { canonicalJson, isCodedError } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'

/** Why posts are set aside. */
export const rejectionOf = {
  /** An error as it is kept with the post: code and text. */
  error: (error: unknown): string => {
    const code = isCodedError(error) ? error.code : 'REDUCER_FAILED'
    return canonicalJson({ code, message: textOf(error).toWellFormed() })
  },
  /** A second answer that came together with the first. */
  answered: (runId: string, key: string): KernelError =>
    new KernelError('NOT_OPEN', `the interrupt ${key} of run ${runId} was answered already`, { runId, key }),
}
