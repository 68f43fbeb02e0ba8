import type { Clock } from '@varve/kernel'

/** When a call has to end. */
export interface Deadline {
  /** The caller's wish to stop. */
  readonly signal: AbortSignal
  readonly timeoutMs: number
  readonly clock: Clock
  /** What it ends with when time is over. */
  readonly timedOut: () => Error
}

/**
 * Does a piece of work with a signal that is aborted when time is over or the caller gives up. Then the call ends with the
 * signal's reason, whatever the work itself makes of it.
 */
export async function beforeDeadline<T>(deadline: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal, timeoutMs, clock, timedOut } = deadline
  signal.throwIfAborted()
  const controller = new AbortController()
  const giveUp = (): void => controller.abort(signal.reason)
  const timer = clock.schedule(timeoutMs, () => controller.abort(timedOut()))
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await work(controller.signal)
  } catch (error) {
    controller.signal.throwIfAborted()
    throw error
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', giveUp)
  }
}

/** Stops waiting for a promise when the signal is aborted. */
export async function orAborted<T>(promise: T | PromiseLike<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let stop = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
