import { canonicalize, checkId, shown, type Json, type RunRow } from '@varve/store'
import type { Environment } from '../driver/environment.ts'
import { KernelError } from '../errors.ts'
import { exportEvidence } from '../evidence/export-evidence.ts'
import { diffRuns } from '../views/diff-runs.ts'
import { readExecutionLog } from '../views/execution-log.ts'
import { readLineage } from '../views/lineage.ts'
import { listInterrupts } from '../views/open-interrupts.ts'
import { readEvents } from '../views/read-events.ts'
import { readFold, type ReplayedRun } from '../views/read-fold.ts'
import { readTimeline } from '../views/timeline.ts'
import { truncated, verifyLog } from '../views/verify.ts'
import { checkFirst } from './checked-verbs.ts'
import { runNotFound } from './run-not-found.ts'
import type { Kernel } from './kernel.ts'
import type { RunOptions } from './options.ts'

type ReadingVerbs = Pick<
  Kernel,
  | 'stateAt'
  | 'verify'
  | 'diff'
  | 'replay'
  | 'replayFromSnapshot'
  | 'events'
  | 'timeline'
  | 'executionLog'
  | 'exportEvidence'
  | 'lineage'
  | 'listInterrupts'
  | 'get'
  | 'find'
  | 'list'
>

/** The verbs that neither execute nor append. */
export function readingVerbs(env: Environment): ReadingVerbs {
  const get = async (runId: string): Promise<RunRow> => {
    checkId('a run id', runId)
    const row = await env.store.runs.find(runId)
    if (row === undefined) throw runNotFound(runId)
    return row
  }
  return {
    ...replayingVerbs(env, get),
    events: async function* (runId) {
      yield* readEvents(env.store, (await get(runId)).runId)
    },
    timeline: async (runId) => {
      await get(runId)
      return readTimeline(env.store, runId)
    },
    executionLog: async function* (runId, options = {}) {
      checkFirst('executionLog', options)
      const definition = env.definitionOf(await get(runId))
      yield* readExecutionLog(env, runId, definition, stateOf(options)?.initialState)
    },
    stateAt: async (runId, seq, options = {}) => {
      const row = await get(runId)
      if (!Number.isInteger(seq) || seq < 0 || seq > row.head) {
        throw new KernelError('INVALID_INPUT', `run ${runId} has the seqs 0-${row.head}, not ${shown(seq)}`, {
          runId,
          seq,
        })
      }
      const state = stateOf(options)
      return readFold(env, runId, { definition: env.definitionOf(row), snapshots: true, to: seq, ...state })
    },
    verify: async (runId, options = {}) => {
      const row = await get(runId)
      const log = env.store.events.read(runId)
      const verification = await verifyLog(env, runId, env.definitionOf(row), log, stateOf(options)?.initialState)
      // The row was read first, so the log can only be longer.
      return verification.ok && verification.head < row.head ? truncated(row, verification.head) : verification
    },
    diff: async (a, b) => {
      await Promise.all([get(a), get(b)])
      return diffRuns(env.store, a, b)
    },
    exportEvidence: async function* (runId, options = {}) {
      const { store, artifacts } = env
      yield* exportEvidence({ store, artifacts, row: await get(runId), now: () => env.clock.now() }, options)
    },
    lineage: async (runId) => {
      await get(runId)
      return readLineage(env.store, runId)
    },
    listInterrupts: (filter = {}, page = {}) => listInterrupts(env.store, filter, { limit: 100, ...page }),
    get,
    find: async (runId) => {
      checkId('a run id', runId)
      return env.store.runs.find(runId)
    },
    list: (filter = {}, page = {}) => env.store.runs.list(filter, { limit: 100, ...page }),
  }
}

function replayingVerbs(env: Environment, get: Kernel['get']): Pick<Kernel, 'replay' | 'replayFromSnapshot'> {
  const replay = async (runId: string, options: RunOptions, snapshots: boolean): Promise<ReplayedRun> => {
    const definition = env.definitionOf(await get(runId))
    return readFold(env, runId, { definition, snapshots, ...stateOf(options) })
  }
  return {
    replay: (runId, options = {}) => replay(runId, options, false),
    replayFromSnapshot: (runId, options = {}) => replay(runId, options, true),
  }
}

/** A state that was given for a log without `RunStarted`, as its events would hold it. */
export function stateOf({ initialState }: RunOptions): { initialState: Json } | undefined {
  if (initialState === undefined) return undefined
  return { initialState: canonicalize(initialState, { name: 'initialState' }).copy }
}
