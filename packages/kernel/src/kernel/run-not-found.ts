import { KernelError } from '../errors.ts'

/** An id that no run has. */
export function runNotFound(runId: string): KernelError {
  return new KernelError('RUN_NOT_FOUND', `there is no run ${runId} in this store`, { runId })
}
