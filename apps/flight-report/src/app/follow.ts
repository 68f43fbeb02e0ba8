import type { Kernel } from '@varve/kernel'
import { isHourKey } from '../flight-report.ts'
import type { Progress } from './progress.ts'

const LOOK_EVERY_MS = 250

/**
 * Shows the progress of a run that another process drives, by looking at its log: commits of other processes are not told
 * to this one.
 *
 * @returns what ends it.
 */
export function followElsewhere(kernel: Kernel, runId: string, progress: Progress): () => void {
  const look = async (): Promise<void> => {
    if (progress.isOurs) return
    const { events } = await kernel.timeline(runId)
    progress.reached(events.filter(({ type, key }) => type === 'ActionSucceeded' && isHourKey(key)).length)
  }
  // Whatever is wrong with the run is told by the call that moves it.
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_EVERY_MS)
  return () => {
    clearInterval(timer)
  }
}
