import { setImmediate } from 'node:timers/promises'
import type { Lease } from './lease.ts'

/** What a heartbeat does for its attempt. */
export interface HeartbeatOptions {
  /** Lets the attempt's timeout begin anew, or come when it is over. */
  readonly restart: () => void
  /** The lease that the attempt runs under. */
  readonly lease: () => Lease | undefined
  readonly signal: AbortSignal
}

/** The `heartbeat` of a handler's context. The timeout begins anew at once, also for a handler that does not wait. */
export function heartbeatOf(options: HeartbeatOptions): () => Promise<void> {
  return () => {
    options.restart()
    const beaten = beat(options)
    // A handler that does not wait must not bring its process down.
    beaten.catch(() => undefined)
    return beaten
  }
}

async function beat({ signal, lease }: HeartbeatOptions): Promise<void> {
  signal.throwIfAborted()
  // Timers and answers that a computing handler has kept from coming, the order to stop among them.
  await setImmediate()
  signal.throwIfAborted()
  await lease()?.beat()
  signal.throwIfAborted()
}
