import type { Environment } from '../driver/environment.ts'
import type { Outcome } from '../driver/outcome.ts'
import type { Drives } from './drives.ts'
import type { MoveOptions } from './move-options.ts'
import type { Taker } from './taker.ts'

/** What the verbs of one kernel share. */
export interface KernelParts {
  readonly env: Environment
  readonly drives: Drives
  /** Who drives new runs from their first append on, for as long as there is a place. */
  readonly takers: Set<Taker>
}

/** Drives a run to its end or block, or follows the process that does. */
export async function moveRun(
  { drives }: KernelParts,
  runId: string,
  options?: Omit<MoveOptions, 'follow'>,
): Promise<Outcome> {
  for (;;) {
    // A call that was already under way may have been one that does not follow.
    const outcome = await drives.move(runId, { ...options, follow: true })
    if (outcome !== undefined) return outcome
  }
}

/** As {@link moveRun}, unless the caller does not wait for it. */
export async function moveIf(kernel: KernelParts, runId: string, wait: boolean | undefined): Promise<Outcome> {
  return wait === false ? { status: 'running', runId } : moveRun(kernel, runId)
}
