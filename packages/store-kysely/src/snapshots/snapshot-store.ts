import { checkId, type Snapshot, type SnapshotStore, checkWhole } from '@varve/store'
import { runNotFound, type StoreParts } from '../store-parts.ts'
import { snapshotQueries, type SnapshotQueries } from './snapshot-queries.ts'

/** The stored states. */
export function sqlSnapshots(parts: StoreParts): SnapshotStore {
  const queries = snapshotQueries(parts.dialect)
  return {
    save: async (snapshot) => save(parts, queries, snapshot),
    latest: async (runId, { atOrBefore = Number.MAX_SAFE_INTEGER } = {}) => {
      checkId('the run id', runId)
      checkWhole('atOrBefore', atOrBefore, 0)
      const record = await parts.executor.get(queries.latest, { runId, atOrBefore })
      if (record === undefined) return undefined
      const { seq, hash, format, workflow_version: workflowVersion, build, body } = record
      return { runId, seq, hash, format, workflowVersion, build, body }
    },
    prune: async (runId, { keep }) => {
      checkId('the run id', runId)
      checkWhole('keep', keep, 0)
      await parts.writes.pruneSnapshots({ runId, keep })
    },
  }
}

async function save(parts: StoreParts, queries: SnapshotQueries, snapshot: Snapshot): Promise<void> {
  const { runId, seq, hash, format, workflowVersion, build, body } = snapshot
  checkId('the run id', runId)
  checkId('the workflow version', workflowVersion)
  checkId('the build', build)
  checkWhole('seq', seq, 0)
  if (await parts.writes.saveSnapshot({ runId, seq, hash, format, workflowVersion, build, body })) return
  // Nothing is stored for an unknown run, and for a seq below the newest one, which is passed over.
  if ((await parts.executor.get(queries.known, { runId })) === undefined) throw runNotFound(runId)
}
