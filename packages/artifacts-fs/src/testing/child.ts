import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import path from 'node:path'

/** A process that hangs must fail its test, not stop all of them. */
const GUARD_MS = 60_000

/** A program of this folder in a process of its own. */
export interface Child {
  /** The next line that it prints; throws with what it wrote to stderr when it ends before. */
  readonly line: () => Promise<string>
  /** Writes a line to its stdin. */
  readonly tell: (line: string) => void
  /** Kills it as `kill -9` does, and waits until it is dead. */
  readonly kill: () => Promise<void>
}

/** Starts a program. */
export function startChild(program: string, ...args: readonly string[]): Child {
  const all = ['--conditions=@varve/source', path.join(import.meta.dirname, program), ...args]
  const child = spawn(process.execPath, all, { stdio: ['pipe', 'pipe', 'pipe'], timeout: GUARD_MS })
  // It may be gone before it has heard everything.
  child.stdin.on('error', () => undefined)
  const ended = endOf(child)
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    line: async () => {
      const { done, value } = await lines.next()
      if (done === true) throw new Error(`${program} has ended: ${complaint}`)
      return value
    },
    tell: (line) => child.stdin.write(`${line}\n`),
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('close', () => resolve()))
}
