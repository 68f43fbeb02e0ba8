// Plays the contract of stores and a few runs through pgbouncer in transaction mode: node scripts/test-pgbouncer.mjs
//
// Needs Debian's pgbouncer. As root it is installed where it is missing.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { toolPath } from './tool-path.ts'

const PROGRAM = '/usr/sbin/pgbouncer'

if (!existsSync(PROGRAM) && process.getuid?.() === 0) {
  console.error('Installing pgbouncer ...')
  // Without its service: the tests start one of their own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'pgbouncer']]) {
    const { status, stdout, stderr } = spawnSync('apt-get', ['-q', ...args], { env, encoding: 'utf8' })
    if (status !== 0) console.error(`${stdout ?? ''}${stderr ?? ''}`)
  }
}
if (!existsSync(PROGRAM)) {
  console.error(`There is no ${PROGRAM}. Install it, on Debian with: apt-get install pgbouncer`)
  process.exit(1)
}
const { status } = spawnSync('vitest run --config test/pgbouncer/vitest.config.ts', {
  cwd: path.join(import.meta.dirname, '..'),
  env: { ...process.env, PATH: toolPath },
  shell: true,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
