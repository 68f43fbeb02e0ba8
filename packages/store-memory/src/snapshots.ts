import { checkWhole, type Snapshot, type SnapshotStore } from '@varve/store'
import type { Memory } from './memory.ts'

/** The snapshots. */
export function memorySnapshots(memory: Memory): SnapshotStore {
  return {
    save: async (snapshot) => save(memory, snapshot),

    latest: async (runId, options = {}) => {
      memory.checkOpen()
      const { atOrBefore = Number.MAX_SAFE_INTEGER } = options
      checkWhole('atOrBefore', atOrBefore, 0)
      return memory.find(runId)?.snapshots.findLast(({ seq }) => seq <= atOrBefore)
    },

    prune: async (runId, options) => {
      memory.checkOpen()
      checkWhole('keep', options.keep, 0)
      const snapshots = memory.find(runId)?.snapshots ?? []
      snapshots.splice(0, Math.max(0, snapshots.length - options.keep))
    },
  }
}

function save(memory: Memory, snapshot: Snapshot): void {
  memory.checkOpen()
  const { runId, seq, hash, format, workflowVersion, build, body } = snapshot
  checkWhole('seq', seq, 0)
  const { snapshots } = memory.get(runId)
  const newest = snapshots.at(-1)?.seq ?? 0
  if (seq < newest) return
  if (seq === newest) snapshots.pop()
  snapshots.push(Object.freeze({ runId, seq, hash, format, workflowVersion, build, body }))
}
