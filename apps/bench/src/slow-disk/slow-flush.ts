import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('./slow-flush.c', import.meta.url))

/** A library that makes flushes slow for whoever loads it by `LD_PRELOAD`. */
export interface SlowFlush {
  readonly library: string
  readonly remove: () => void
}

/** Compiles it. @returns a reason in words where it cannot be had. */
export function buildSlowFlush(): SlowFlush | string {
  if (process.platform !== 'linux') return 'flushes can be made slower on Linux alone'
  const folder = mkdtempSync(path.join(tmpdir(), 'varve-slow-flush-'))
  const library = path.join(folder, 'slow-flush.so')
  const { status, error, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source], {
    encoding: 'utf8',
  })
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  if (status !== 0) {
    remove()
    return error === undefined ? `cc says: ${stderr}` : 'there is no cc that could compile slow-flush.c'
  }
  // The server runs under an account of its own.
  chmodSync(folder, 0o755)
  return { library, remove }
}
