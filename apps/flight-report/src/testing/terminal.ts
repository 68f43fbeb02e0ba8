import type {} from '../../../../test/bundles/global-setup.ts'
import { spawn } from 'node:child_process'
import { inject } from 'vitest'

/** How a program in a terminal ended. */
export interface EndedInTerminal {
  readonly code: number | null
  /** All that stood on the screen. */
  readonly screen: string
}

/**
 * Runs the program in a terminal of its own, made by `script` (of util-linux on Linux, of BSD on macOS), and types the
 * answer when it is asked.
 */
export function runInTerminal(folder: string, args: readonly string[], answer: string): Promise<EndedInTerminal> {
  const command = [process.execPath, inject('program'), ...args]
  const quoted = command.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(' ')
  const script = process.platform === 'darwin' ? ['-q', '/dev/null', ...command] : ['-qefc', quoted, '/dev/null']
  const child = spawn('script', script, {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      TERM: 'xterm',
      SHELL: '/bin/sh',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let screen = ''
  let answered = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
    if (answered || !screen.includes('[Y/n]')) return
    answered = true
    child.stdin.write(answer)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, screen }))
  })
}
