import type {} from '../../../../test/bundles/global-setup.ts'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'

/** How a run of the program ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The program, running as a process of its own. */
export interface Program {
  readonly pid: number
  readonly ended: Promise<Ended>
  /** Resolves when it has printed this; rejects when it ends without. */
  printed(text: string): Promise<void>
  kill(signal: NodeJS.Signals): void
}

/** Starts the program that `npm start` does, in a folder of the test's own and without a terminal. */
export function startProgram(folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return startNode(folder, [inject('program'), ...args], env)
}

function startNode(folder: string, args: readonly string[], env: NodeJS.ProcessEnv): Program {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, ...output }))
  })
  return {
    pid: child.pid ?? 0,
    ended,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (output.stdout.includes(text)) resolve()
        }
        child.stdout.on('data', look)
        void ended.then(() => reject(new Error(`ended without printing ${text}:\n${output.stdout}${output.stderr}`)))
        look()
      }),
    kill: (signal) => child.kill(signal),
  }
}

/** Runs the program to its end. */
export function runProgram(folder: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return startProgram(folder, args, env).ended
}

/** Runs the program from its sources, by the very command of `npm start`. */
export function runFromSources(folder: string, args: readonly string[]): Promise<Ended> {
  const root = fileURLToPath(new URL('../../../../', import.meta.url))
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: { app: string } }
  const [, ...command] = scripts.app.split(' ')
  return startNode(folder, [...command.map((part) => part.replace(/^apps/, `${root}apps`)), ...args], {}).ended
}

/** A new folder, and what deletes it. */
export function temporaryFolder(): { readonly folder: string; readonly remove: () => void } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flight-report-'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
