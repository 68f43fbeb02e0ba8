import { StoreError, isCodedError } from '@varve/store'
import { KernelError, isKernelError } from '../errors.ts'

/**
 * The error with the run and the event at which it came, in its text as well; what says its run already, or has no code, as
 * it is. Whoever reads a log of many runs must not have to guess.
 */
export function located(
  error: unknown,
  { runId, seq: next }: { readonly runId: string; readonly seq: number },
): unknown {
  if (!isCodedError(error) || error.where.runId !== undefined) return error
  const { code, retryable, where, cause } = error
  const seq = where.seq ?? next
  const text = `${error.message.replace(`${code}: `, '')} (run ${runId}, seq ${seq})`
  const options = { ...where, runId, seq, retryable, ...(cause !== undefined && { cause }) }
  const { divergence } = isKernelError(error) ? error : {}
  const moved = isKernelError(error)
    ? new KernelError(error.code, text, { ...options, ...(divergence && { divergence }) })
    : new StoreError(code as StoreError['code'], text, options)
  // Where it was thrown is what helps.
  if (error.stack !== undefined) moved.stack = error.stack.replace(error.message, () => moved.message)
  return moved
}
