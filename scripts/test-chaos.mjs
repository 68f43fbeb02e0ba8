// Runs the chaos of the workers alone: node scripts/test-chaos.mjs [--long]
//
// With --long there are 2,000 runs and a minute of faults on each store, and it tells how it went. VARVE_CHAOS_SEED=<number> plays
// the faults of a failure again.
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { toolPath } from './tool-path.ts'

const long = process.argv.includes('--long')
const { status } = spawnSync('vitest run --project worker src/chaos', {
  cwd: path.join(import.meta.dirname, '..'),
  env: { ...process.env, PATH: toolPath, ...(long && { VARVE_CHAOS_TESTS: 'long' }) },
  shell: true,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
