import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { hostedPrograms, type HostOptions } from '../rounds/hosted-programs.ts'

/** Whether there is a program that counts flushes. */
export function canTrace(): boolean {
  return spawnSync('strace', ['-V']).status === 0
}

/** Flushes to disk of each program of a workload, on a store in a process of its own. */
export async function countFlushes(options: HostOptions): Promise<ReadonlyMap<string, number>> {
  const folder = mkdtempSync(path.join(tmpdir(), 'varve-flushes-'))
  const file = path.join(folder, 'calls')
  const wrapper = ['strace', '-f', '-qq', '-e', 'trace=fsync,fdatasync', '-e', 'signal=none', '-o', file] as const
  // Flushes of several threads are told in two lines each, one of which is unfinished.
  const flushes = (): number =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /f(data)?sync\(/.test(line)).length
  try {
    const { programs, close } = await hostedPrograms({ ...options, wrapper })
    const counts = new Map<string, number>()
    for (const { name, measure } of programs) {
      const before = flushes()
      await measure()
      counts.set(name, flushes() - before)
    }
    await close?.()
    return counts
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
