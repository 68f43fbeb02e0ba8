import { canonicalJson, isCodedError, type Post } from '@varve/store'
import { KernelError, textOf } from '../errors.ts'
import { SETTLEMENT } from './inputs.ts'

/** Why posts are set aside. */
export const rejectionOf = {
  /** An error as it is kept with the post: code and text. */
  error: (error: unknown): string => {
    const code = isCodedError(error) ? error.code : 'REDUCER_FAILED'
    return canonicalJson({ code, message: textOf(error).toWellFormed() })
  },
  /** A post for an item that something else moves in the same turn, which came first. */
  late: (runId: string, key: string, { type }: Pick<Post, 'type'>): KernelError => {
    const where = { runId, key }
    if (type === 'Resumed')
      return new KernelError('NOT_OPEN', `the interrupt ${key} of run ${runId} was answered already`, where)
    const text = `what became of ${key} in run ${runId} was told already, or it is tried again`
    return new KernelError(type === SETTLEMENT ? 'NOT_IN_DOUBT' : 'NOT_OPEN', text, where)
  },
}
