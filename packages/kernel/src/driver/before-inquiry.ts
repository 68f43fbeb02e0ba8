import type { Attempt } from './attempt.ts'
import type { Environment } from './environment.ts'

/** From the third attempt of one action on, what became of it is asked after a pause, each twice the one before, in ms. */
const PAUSE = { first: 100, longest: 10_000 }

/**
 * Resolves when somebody outside may be asked what became of an attempt, or at once when the signal says that nobody wants to know any
 * more.
 *
 * Where every attempt ends in doubt, and every inquiry permits another, the log would be full within seconds without a pause. And
 * nothing need have been committed under the lease yet, so that a crash could take it back while the other side knows its token:
 * it is renewed first.
 */
export async function beforeInquiry(
  { clock }: Pick<Environment, 'clock'>,
  { item, lease }: Pick<Attempt, 'item' | 'lease'>,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const goOn = (): void => {
    resolve(undefined)
  }
  signal.addEventListener('abort', goOn)
  const pauseMs = item.attempt < 3 ? 0 : Math.min(PAUSE.first * 2 ** (item.attempt - 3), PAUSE.longest)
  if (pauseMs > 0) {
    const timer = clock.schedule(pauseMs, goOn)
    await promise
    timer.cancel()
  }
  if (!signal.aborted) await lease()?.renew()
}
