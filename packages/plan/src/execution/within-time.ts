import type { Clock } from '@varve/kernel'
import { PlanError } from '../errors.ts'

/** What bounds an execution that no driver watches over. */
export interface TimeBound {
  readonly clock: Clock
  /** Undefined for no bound. */
  readonly timeoutMs: number | undefined
  /** What takes the time, for the error. */
  readonly what: string
}

/**
 * What the work comes to, unless it takes too long: then its signal is aborted, and it is not waited for.
 *
 * @throws PlanError `TIMEOUT`, or what the work throws.
 */
export async function withinTime<T>(
  { clock, timeoutMs, what }: TimeBound,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  if (timeoutMs === undefined) return work(controller.signal)
  return new Promise<T>((resolve, reject) => {
    const timer = clock.schedule(timeoutMs, () => {
      const text = `${what} gives no answer within ${timeoutMs} ms; see what it waits for, or raise its timeoutMs`
      const error = new PlanError('TIMEOUT', text)
      reject(error)
      controller.abort(error)
    })
    work(controller.signal)
      .then(resolve, reject)
      .finally(() => {
        timer.cancel()
      })
  })
}
