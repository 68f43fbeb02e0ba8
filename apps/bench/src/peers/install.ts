import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/**
 * Installs the other systems by their lock file, unless they are there. No install script runs: none is needed.
 *
 * @throws Error with what npm said, when it fails.
 */
export function installPeers(folder: string): void {
  const lock = createHash('sha256')
    .update(readFileSync(path.join(folder, 'package-lock.json')))
    .digest('hex')
  const mark = path.join(folder, 'node_modules', '.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  console.error('Installing the other systems, once ...')
  const done = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  if (done.status !== 0) throw new Error(`npm ci failed in ${folder}: ${done.error?.message ?? done.stderr}`)
  writeFileSync(mark, lock)
}
