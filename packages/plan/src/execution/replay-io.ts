import { canonicalJson, sha256, type Json } from '@varve/store'
import type { FactOptions } from '@varve/kernel'
import type { Io } from '../definition/io.ts'
import { PlanError } from '../errors.ts'
import { callRequest, drawnFact } from './live-io.ts'

/** An answer that a run has recorded. */
export interface RecordedFact {
  readonly requestHash: string
  readonly value: Json
}

/** What an execution was told, by fact key. */
export interface RecordedFacts {
  readonly run: ReadonlyMap<string, RecordedFact>
  /** Those of its last attempt alone. */
  readonly attempt: ReadonlyMap<string, RecordedFact>
}

/** The doors of a state that is replayed: what was recorded comes out again, and nothing else. */
export function replayIo(where: { readonly runId: string; readonly key: string }, facts: RecordedFacts): Io {
  const drawn = { now: 0, random: 0, uuid: 0 }
  const missing = (key: string): PlanError => {
    const text = `the fact ${key} of ${where.key} in run ${where.runId} was not recorded; the state asks for another one than it did; replay it with the code that made it`
    return new PlanError('MISSING_FACT', text, where)
  }
  const recall = async <T>(key: string, { scope = 'run', request = null }: FactOptions): Promise<T> => {
    const fact = facts[scope].get(key)
    if (fact === undefined) throw missing(key)
    if (fact.requestHash === sha256(canonicalJson(request))) return fact.value as T
    const text = `the fact ${key} of ${where.key} in run ${where.runId} was recorded for another request; replay it with the code that made it`
    throw new PlanError('MISSING_FACT', text, where)
  }
  const draw = async <T>(what: keyof typeof drawn): Promise<T> =>
    recall(drawnFact(what, drawn[what]++), { scope: 'attempt' })
  return {
    fact: async (key, _read, options = {}) => recall(key, options),
    now: async () => draw('now'),
    random: async () => draw('random'),
    uuid: async () => draw('uuid'),
    call: async (transport, request, options = {}) => {
      if (options.fact !== undefined) return recall(options.fact, { request: callRequest(transport, request) })
      const text = `${where.key} of run ${where.runId} calls ${transport} without a fact, so nothing was recorded; give the call one`
      throw new PlanError('LIVE_IO_IN_REPLAY', text, where)
    },
  }
}
