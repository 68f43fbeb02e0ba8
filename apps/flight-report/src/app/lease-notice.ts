import { canRecognizeDead } from '@varve/kernel'
import type { Owner, RunRow } from '@varve/store'

/**
 * What to tell somebody who goes on with a run that is another process's: that we follow it, or, where it cannot be seen
 * whether that process is alive, how long we wait. Undefined when the run is free, or its process known to be dead.
 */
export function leaseNotice({ lease }: Pick<RunRow, 'lease'>, us: Owner, now: number): string | undefined {
  if (lease === undefined || lease.until <= now) return undefined
  const { owner, until } = lease
  if (canRecognizeDead(us) && owner.boot === us.boot && owner.pidNamespace === us.pidNamespace) {
    return isRunning(owner.pid) ? `Process ${owner.pid} is at work on this run: following it` : undefined
  }
  const seconds = Math.ceil((until - now) / 1000)
  return (
    `Process ${owner.pid} had this run last, and whether it is still alive cannot be seen from here: ` +
    `following it, or waiting up to ${seconds} s until its lease ends`
  )
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
