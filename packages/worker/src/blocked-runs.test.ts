import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const program = path.join(import.meta.dirname, 'testing', 'blocked-runs.ts')

interface Measured {
  readonly bytesPerRun: number
  readonly blocked: number
}

test.concurrent.for(['worker', 'dispatcher', 'verbs'] as const)(
  'each of ten thousand blocked runs takes less than 2 KB of memory where it was driven: %s',
  { timeout: 120_000 },
  async (driver) => {
    const args = ['--expose-gc', '--conditions=@varve/source', program, driver]

    const { stdout } = await promisify(execFile)(process.execPath, args)

    const { bytesPerRun, blocked } = JSON.parse(stdout) as Measured
    expect(blocked).toBe(11_000)
    expect(bytesPerRun).toBeLessThan(2048)
  },
)
