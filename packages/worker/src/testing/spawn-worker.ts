import type {} from '../../../../test/bundles/global-setup.ts'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { inject } from 'vitest'
import type { WorkerTask } from './worker-process.ts'

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What it wrote as it died of an error. */
  readonly error: string
}

/** A real process with a worker. */
export interface WorkerProcess {
  readonly pid: number
  /** The next thing it says of this kind, or the last if it has not been asked for; undefined when it has ended without. */
  said(what: 'ready' | 'held' | 'recovered' | 'stopping' | 'ended'): Promise<unknown>
  /** Writes a line to it. */
  tell(line: 'open' | 'stop' | 'recover'): void
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<ProcessEnd>
}

/**
 * Starts a process with a worker.
 *
 * @param before - a command, with its arguments, that starts the process in its turn.
 */
export function spawnWorker(task: WorkerTask, before: readonly string[] = []): WorkerProcess {
  const { NODE_OPTIONS: _, ...env } = process.env
  const node = [process.execPath, inject('program'), JSON.stringify(task)]
  const [command = '', ...args] = [...before, ...node]
  const child = spawn(command, args, {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // A process that was killed takes no lines any more.
  child.stdin.on('error', () => undefined)
  let error = ''
  child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()))
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('close', (code, signal) => {
      resolve({ code, signal, error })
    })
  })
  const said = new Map<string, unknown[]>()
  const waiting = new Map<string, ((value: unknown) => void)[]>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [what = '', ...rest] = line.split(' ')
    const value = JSON.parse(rest.join(' ')) as unknown
    const waiter = waiting.get(what)?.shift()
    if (waiter === undefined) said.set(what, [...(said.get(what) ?? []), value])
    else waiter(value)
  })
  return {
    pid: child.pid ?? 0,
    ended,
    said: async (what) => {
      const kept = said.get(what)
      if (kept !== undefined && kept.length > 0) return kept.shift()
      const next = new Promise((resolve) => waiting.set(what, [...(waiting.get(what) ?? []), resolve]))
      return Promise.race([next, ended.then(() => undefined)])
    },
    tell: (line) => {
      child.stdin.write(`${line}\n`)
    },
    kill: (signal) => {
      child.kill(signal)
    },
  }
}
