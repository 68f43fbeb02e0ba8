import type { Profiler, Runtime } from 'node:inspector'

/** What each node of a profile did itself, in us: a sample holds until the next one is taken. */
export function timesOf(profile: Profiler.Profile): ReadonlyMap<number, number> {
  const { samples = [], timeDeltas = [], startTime, endTime } = profile
  const times = new Map<number, number>()
  const taken = timeDeltas.reduce((sum, delta) => sum + delta, startTime)
  for (const [at, id] of samples.entries()) {
    const us = timeDeltas[at + 1] ?? endTime - taken
    times.set(id, (times.get(id) ?? 0) + Math.max(0, us))
  }
  return times
}

/** True while the event loop waits for the world. */
export function isIdle({ functionName }: Runtime.CallFrame): boolean {
  return functionName === '(idle)'
}

/** True for what is no work: waiting, and the profiler itself. */
export function isAside(frame: Runtime.CallFrame): boolean {
  return isIdle(frame) || frame.url === 'node:inspector'
}
