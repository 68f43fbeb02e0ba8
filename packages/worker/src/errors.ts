import { CodedError, isCodedError, refusing, type CodedErrorOptions } from '@varve/store'

/**
 * What can go wrong with a worker.
 *
 * | code | meaning |
 * |---|---|
 * | `INVALID_OPTION` | an option that can never work |
 * | `INPUT_FAILED` | the `input` of a schedule threw |
 * | `WORKER_STOPPED` | a worker that was stopped is not started again; make a new one |
 */
export type WorkerErrorCode = 'INVALID_OPTION' | 'INPUT_FAILED' | 'WORKER_STOPPED'

/** An error of a worker. Test it with {@link isWorkerError}, not with `instanceof`. */
export class WorkerError extends CodedError<WorkerErrorCode> {
  constructor(code: WorkerErrorCode, text: string, options: CodedErrorOptions = {}) {
    super('Worker', code, text, options)
  }
}

/** True for a {@link WorkerError} from whichever installed copy; with a code, for that code alone. */
export function isWorkerError(error: unknown, code?: WorkerErrorCode): error is WorkerError {
  return isCodedError(error, 'Worker', code)
}

/** What a check that all layers share refuses is refused as an option. @throws WorkerError `INVALID_OPTION`. */
export function asOption<A extends readonly unknown[]>(check: (...given: A) => void, ...given: A): void {
  refusing(
    () => {
      check(...given)
    },
    (text, cause) => new WorkerError('INVALID_OPTION', text, { cause }),
  )
}
