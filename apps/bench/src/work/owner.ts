import type { Owner } from '@varve/store'
import { randomUUID } from 'node:crypto'

/** Whoever holds the leases of what the bench writes without a kernel. */
export function benchOwner(): Owner {
  return { id: randomUUID(), boot: null, pidNamespace: null, pid: process.pid, startedAt: null }
}
