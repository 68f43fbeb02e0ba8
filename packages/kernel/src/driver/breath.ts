import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** How long the drives of a kernel may keep the event loop to themselves. */
const BREATH_MS = 10

/**
 * Gives everybody else a turn once in a while. With a store that answers at once, drives would otherwise never let a timer,
 * a signal or a request come in between. All drives of a kernel wait for the same breath: with many of them each one would
 * be late for its own in every turn.
 */
export function breathing(clock: Clock): () => Promise<void> | undefined {
  let breathedAt = clock.monotonic()
  let breath: Promise<void> | undefined
  const breathe = async (): Promise<void> => {
    await setImmediate()
    breathedAt = clock.monotonic()
    breath = undefined
  }
  return () => {
    if (breath !== undefined || clock.monotonic() - breathedAt < BREATH_MS) return breath
    return (breath = breathe())
  }
}
