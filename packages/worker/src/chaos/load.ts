import { setTimeout as delay } from 'node:timers/promises'
import { isKernelError, type Kernel } from '@varve/kernel'
import { isStoreError } from '@varve/store'
import type { stepsWorkflow } from '../testing/workloads.ts'

/** What the runs of a chaos are moved with from outside. */
export interface LoadOptions {
  /** Knows the workflow, and drives nothing. */
  readonly starter: Kernel
  /** Knows no workflow, so that it leaves every run that it posts to to the workers. */
  readonly poster: Kernel
  readonly workflow: ReturnType<typeof stepsWorkflow>
  readonly runs: number
  readonly forMs: number
  readonly random: () => number
}

/** Names the run with a number. */
export function runIdOf(n: number): string {
  return `run-${n}`
}

/** Starts runs and sends each its signal, some of them twice, until every call has been answered. */
export async function loadRuns({ starter, poster, workflow, runs, forMs, random }: LoadOptions): Promise<void> {
  const signal = (n: number): Promise<unknown> =>
    acknowledged(() => poster.signal(runIdOf(n), { name: 'go', value: `go ${n}`, id: `go-${n}` }))
  const one = async (n: number): Promise<void> => {
    // Half of them are there when it begins.
    await delay(n % 2 === 0 ? 0 : random() * forMs * 0.7)
    await acknowledged(() => starter.start(workflow, { n }, { runId: runIdOf(n), wait: false }))
    await delay(random() * forMs * 0.5)
    await signal(n)
    if (n % 4 === 0) await signal(n)
  }
  await Promise.all(Array.from({ length: runs }, (_, n) => one(n)))
}

/**
 * Makes a call until it is answered. That the poster has no code says that its post was kept; a run that has ended has had its
 * signal, for it cannot end without.
 */
export async function acknowledged(call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await call()
      return
    } catch (error) {
      if (isKernelError(error, 'WORKFLOW_MISSING') || isKernelError(error, 'RUN_TERMINAL')) return
      const passing = isStoreError(error) && (error.retryable || error.code === 'UNKNOWN_OUTCOME')
      if (!passing) throw error
      await delay(50)
    }
  }
}
