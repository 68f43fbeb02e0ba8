import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import type { Owner } from '@varve/store'

/** This process as an owner of leases; every call gives another id. */
export function processOwner(): Owner {
  return {
    id: randomUUID(),
    boot: readable(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: readable(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    startedAt: processState(process.pid)?.startedAt ?? null,
  }
}

/**
 * True when the owner of a lease is known to be dead: same boot and same process-id namespace as ours, and no process has
 * its id and start. Whatever cannot be read counts as alive, so on systems without `/proc` a lease is waited for.
 */
export function isKnownDead(owner: Owner, us: Owner): boolean {
  if (owner.boot === null || owner.boot !== us.boot) return false
  if (owner.pidNamespace === null || owner.pidNamespace !== us.pidNamespace) return false
  const signal = probe(owner.pid)
  if (signal !== 'reached') return signal === 'gone'
  const state = processState(owner.pid)
  if (state === undefined || owner.startedAt === null) return false
  return state.zombie || state.startedAt !== owner.startedAt
}

/** True where a dead owner can be recognised at all, so that its lease need not be waited for. */
export function canRecognizeDead(us: Owner): boolean {
  return us.boot !== null && us.pidNamespace !== null && us.startedAt !== null
}

function probe(pid: number): 'reached' | 'gone' | 'unknown' {
  try {
    process.kill(pid, 0)
    return 'reached'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? 'gone' : 'unknown'
  }
}

/** Fields 3 and 22 of `/proc/<pid>/stat` (proc(5)); the name in field 2 may hold spaces and brackets. */
function processState(pid: number): { readonly zombie: boolean; readonly startedAt: string } | undefined {
  const stat = readable(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const startedAt = fields?.[19]
  if (fields === undefined || startedAt === undefined) return undefined
  return { zombie: fields[0] === 'Z' || fields[0] === 'X', startedAt }
}

function readable(read: () => string): string | null {
  try {
    return read()
  } catch {
    return null
  }
}
