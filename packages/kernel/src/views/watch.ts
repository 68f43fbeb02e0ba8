import { genesis, isTerminal, shown, type LogEnd, type Store } from '@varve/store'
import { KernelError } from '../errors.ts'
import { runNotFound } from '../kernel/run-not-found.ts'
import { readLogEvent, type LogEvent } from '../log/log-event.ts'

/** Where to begin to watch. */
export interface WatchOptions {
  /** First seq to see. Default 1. */
  readonly from?: number
  /** Ends the watch. */
  readonly signal?: AbortSignal
}

/** Waits for a run to move. */
export interface MoveWaiter {
  /** Resolves when the run may have moved since the waiter was made. */
  readonly next: () => Promise<void>
  readonly cancel: () => void
}

/**
 * A run's committed events, from a seq on and as they come, until the run has ended. Each is seen once and in order,
 * whichever process wrote it.
 *
 * @throws KernelError `RUN_NOT_FOUND` for a run that was removed before all of it was seen.
 */
export async function* watchRun(
  store: Store,
  runId: string,
  waitFor: (runId: string) => MoveWaiter,
  { from = 1, signal }: WatchOptions,
): AsyncGenerator<LogEvent, void, undefined> {
  let end: LogEnd | undefined = from === 1 ? genesis(runId) : undefined
  let next = from
  const isAborted = (): boolean => signal?.aborted === true
  while (!isAborted()) {
    const waiter = waitFor(runId)
    const over = new AbortController()
    try {
      const row = await store.runs.find(runId)
      for await (const stored of store.events.read(runId, { from: next })) {
        const event = readLogEvent(end ?? (await endBefore(store, runId, next)), stored)
        end = { seq: event.seq, hash: event.hash }
        next = event.seq + 1
        yield event
        if (isAborted()) return
      }
      // Removed meanwhile: what was seen is no whole log, and nothing says how it ended.
      if (row === undefined || next <= row.head) throw runNotFound(runId)
      // Seen before the events were read, so nothing can have come after them.
      if (isTerminal(row.status)) return
      await Promise.race([waiter.next(), aborted(signal, over.signal)])
    } finally {
      over.abort()
      waiter.cancel()
    }
  }
}

async function endBefore(store: Store, runId: string, seq: number): Promise<LogEnd> {
  for await (const event of store.events.read(runId, { from: seq - 1, limit: 1 })) {
    return { seq: event.seq, hash: event.hash }
  }
  return genesis(runId)
}

/** @throws KernelError `INVALID_INPUT` for what is no signal, and would never end a wait. */
export function checkAbortSignal(signal: unknown): void {
  const { aborted, addEventListener } = Object(signal) as Partial<Record<keyof AbortSignal, unknown>>
  if (signal === undefined || (typeof aborted === 'boolean' && typeof addEventListener === 'function')) return
  throw new KernelError('INVALID_INPUT', `signal must be an AbortSignal, got ${shown(signal)}`)
}

/** Resolves when the signal says so; stops listening when the race that it is part of is over. */
export function aborted(signal: AbortSignal | undefined, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      resolve()
    }
    if (signal?.aborted === true) end()
    else signal?.addEventListener('abort', end, { once: true, signal: over })
  })
}
