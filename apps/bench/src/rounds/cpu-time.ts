import { readdirSync, readFileSync } from 'node:fs'

/** CPU time, in ms, of this process and of some others, up to now. */
export type CpuClock = () => number

/** Clock of what this process and a family of others use; `parent` is who started those. */
export function cpuClock(parent?: number): CpuClock {
  return () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000 + (parent === undefined ? 0 : familyMs(parent))
  }
}

/** The parent of a process of that name on this machine; undefined where there is none, or /proc does not say. */
export function parentOf(pid: number, name: string): number | undefined {
  return readProc(pid, 'comm')?.trim() === name ? statOf(pid)?.parent : undefined
}

/** Of all processes that it has started, as far as they are alive, and of itself. */
function familyMs(parent: number): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const family = pids.map(Number).filter((pid) => pid === parent || statOf(pid)?.parent === parent)
  return family.reduce((sum, pid) => sum + cpuMsOf(pid), 0)
}

function statOf(pid: number): { readonly parent: number } | undefined {
  const text = readProc(pid, 'stat')
  if (text === undefined) return undefined
  // What stands before is the name, which may hold blanks and parentheses.
  const [, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(parent) }
}

/** By the scheduler's own account, for `stat` counts in hundredths of a second only. */
function cpuMsOf(pid: number): number {
  const [nanoseconds] = (readProc(pid, 'schedstat') ?? '0').split(' ')
  return Number(nanoseconds) / 1e6
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    // It has ended, or is not on this machine.
    return undefined
  }
}
