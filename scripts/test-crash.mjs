// Runs the projects with the crash tests alone: node scripts/test-crash.mjs [--long]
//
// With --long every pair of crashes is played on every store, and twenty times as many interleavings: hours, not a minute.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { toolPath } from './tool-path.ts'

const long = process.argv.includes('--long')
const { status } = spawnSync('vitest run --project testing --project plan', {
  cwd: path.join(import.meta.dirname, '..'),
  env: { ...process.env, PATH: toolPath, ...(long && { VARVE_CRASH_TESTS: 'long' }) },
  shell: true,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
