import { chainHash, genesis, type StoredEvent } from '@varve/store'
import type { TypedEvent } from '../log/log-event.ts'
import { EvidenceError, type EvidenceWhere } from './evidence-error.ts'

/** A run that another one was copied from, as the copy tells. */
export interface ForkedFrom {
  readonly runId: string
  /** Last seq that was copied. */
  readonly atSeq: number
  /**
   * True when the copied events lead to the hash that the run they were taken from had there. False when the last of them was
   * edited: then only that run's own log can tell.
   */
  readonly proven: boolean
}

/** Seals the copied part of a log anew under the runs that it says it was taken from. */
export interface ForkChains {
  /** Takes the next event of the log. */
  add(stored: StoredEvent): void
  /** Takes the event that says where the copy ends. @throws EvidenceError `FACTS_DIFFER` | `LINEAGE_DIFFERS`. */
  forked(event: TypedEvent<'RunForked'>, where: EvidenceWhere): void
  /** @throws EvidenceError `FACTS_DIFFER` for a fork that was announced and is not in the log. */
  end(where: EvidenceWhere): readonly ForkedFrom[]
}

/** @param announced - Which forks the log holds, in its order: to read a log once, it has to be known beforehand. */
export function forkChains(announced: readonly { readonly fromRunId: string; readonly atSeq: number }[]): ForkChains {
  const chains = announced.map(({ fromRunId, atSeq }) => ({ fromRunId, atSeq, hash: genesis(fromRunId).hash }))
  const found: ForkedFrom[] = []
  return {
    add: (stored) => {
      for (const chain of chains) if (stored.seq <= chain.atSeq) chain.hash = chainHash(chain.hash, stored)
    },
    forked: ({ seq, data }, where) => {
      const { fromRunId, atSeq, fromHash, edited = false } = data
      const chain = chains[found.length]
      if (chain?.fromRunId !== fromRunId || chain.atSeq !== atSeq || atSeq !== seq - 1) {
        const text = `seq ${seq} says that the run was forked from ${fromRunId} at ${atSeq}, which its place or the line of the run denies`
        throw new EvidenceError('FACTS_DIFFER', text, where)
      }
      if (!edited && chain.hash !== fromHash) {
        const text = `the events up to seq ${atSeq} are not those that run ${fromRunId} had when it was forked; ask for its own bundle`
        throw new EvidenceError('LINEAGE_DIFFERS', text, where)
      }
      found.push({ runId: fromRunId, atSeq, proven: !edited })
    },
    end: (where) => {
      const missing = chains[found.length]
      if (missing === undefined) return found
      const text = `the line of the run names a fork from ${missing.fromRunId} at seq ${missing.atSeq}, which its log does not hold`
      throw new EvidenceError('FACTS_DIFFER', text, where)
    },
  }
}
