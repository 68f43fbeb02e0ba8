import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** How long a drive may keep the event loop to itself. */
const BREATH_MS = 10

/**
 * Gives everybody else a turn once in a while. With a store that answers at once a drive would otherwise never let a timer,
 * a signal or another run come in between.
 */
export function breathing(clock: Clock): () => Promise<void> | undefined {
  let breathedAt = clock.monotonic()
  const breathe = async (): Promise<void> => {
    await setImmediate()
    breathedAt = clock.monotonic()
  }
  return () => (clock.monotonic() - breathedAt < BREATH_MS ? undefined : breathe())
}
