import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FromPeer, PeerTask } from '../../peers/peer.ts'
import type { Workload } from '../../peers/workloads.ts'

/** A workload that takes longer, with its warm-up and what it prepares, is given up. */
const PATIENCE_MS = 120_000

const program = fileURLToPath(new URL('../../peers/run-peer.ts', import.meta.url))

/** A figure, or why there is none. */
export type Outcome = { readonly value: number } | { readonly error: string }

/**
 * Measures a peer in a process of its own.
 *
 * @returns an outcome for each workload of the task, whatever becomes of the process.
 */
export async function measurePeer(task: PeerTask): Promise<ReadonlyMap<Workload, Outcome>> {
  const outcomes = new Map<Workload, Outcome>()
  const child = fork(program, [JSON.stringify(task)], {
    execArgv: [
      '--conditions=@varve/source',
      '--disable-warning=DeprecationWarning',
      '--disable-warning=ExperimentalWarning',
    ],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // A group of its own, so that a server that it has started goes with it.
    detached: true,
  })
  const kill = () => killGroup(child)
  // Before anything that is removed at the exit.
  process.prependOnceListener('exit', kill)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
  })
  let patience = AbortSignal.timeout(PATIENCE_MS)
  const timer = setInterval(() => patience.aborted && kill(), 1_000)
  child.on('message', (message: FromPeer) => {
    patience = AbortSignal.timeout(PATIENCE_MS)
    outcomes.set(message.workload, message)
  })
  const code = await new Promise<number | string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal))
  })
  clearInterval(timer)
  process.removeListener('exit', kill)
  kill()

  let why = patience.aborted ? `took more than ${PATIENCE_MS / 1_000} s` : `ended with ${code}: ${lastLine(said)}`
  for (const workload of task.workloads) {
    if (outcomes.has(workload)) continue
    outcomes.set(workload, { error: why })
    why = 'not reached'
  }
  return outcomes
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
