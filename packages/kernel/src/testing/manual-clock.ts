import type { Clock, Timer } from '../clock.ts'

/** A clock for tests: stands still until it is told to move on. */
export interface ManualClock extends Clock {
  /** Moves time forward and makes every call that falls due on the way, each in its moment. */
  advance(ms: number): Promise<void>
  /** Moves time forward and makes no call, as when the event loop is blocked: those that fell due are late. */
  block(ms: number): void
  /** Calls that lie ahead. */
  readonly pending: number
}

/** Makes a clock that shows `startAt`, Unix milliseconds. */
export function manualClock(startAt = 1_700_000_000_000): ManualClock {
  let time = startAt
  const calls = new Set<{ readonly due: number; readonly fn: () => void }>()
  const nextBefore = (end: number) => [...calls].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0]
  return {
    now: () => time,
    monotonic: () => time - startAt,
    schedule: (ms, fn): Timer => {
      const call = { due: time + ms, fn }
      calls.add(call)
      return { cancel: () => calls.delete(call) }
    },
    advance: async (ms) => {
      const end = time + ms
      for (let call = nextBefore(end); call !== undefined; call = nextBefore(end)) {
        calls.delete(call)
        time = Math.max(time, call.due)
        call.fn()
        await settled()
      }
      time = end
      await settled()
    },
    block: (ms) => {
      time += ms
    },
    get pending() {
      return calls.size
    },
  }
}

/** Resolves when everything that waits for no clock has happened. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
}
