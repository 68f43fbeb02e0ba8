import { isCodedError, isStoreError, type Json, type RunRow, type StoredEvent } from '@varve/store'
import { isKernelError, type Divergence } from '../errors.ts'
import { RecordedEvent } from '../log/recorded-event.ts'
import { decisionChecker } from '../run/check-decisions.ts'
import type { RunFold } from '../run/run-fold.ts'
import { emptySystem } from '../run/system.ts'
import type { ReadingEnvironment } from '../driver/load-run.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/** Whether a log is whole, and whether the code would make the same decisions again. */
export type Verification =
  | {
      readonly ok: true
      readonly runId: string
      /** Seq of the last event. */
      readonly head: number
      /** Hash of the whole log. */
      readonly hash: string
    }
  | {
      readonly ok: false
      readonly runId: string
      /** `CODE_CHANGED` when the code decides otherwise; `CORRUPT_LOG`, `INVALID_LOG` or `NEWER_FORMAT` for the log itself. */
      readonly code: string
      readonly message: string
      /** Where it was found, when that is known. */
      readonly seq?: number
      readonly divergence?: Divergence
    }

/**
 * Folds a log from its first event and asks the code again for every decision in it. Nothing is executed and nothing is
 * written: there is no executor and no appender here.
 */
export async function verifyLog(
  env: Pick<ReadingEnvironment, 'limits' | 'guard'>,
  runId: string,
  definition: Definition,
  log: AsyncIterable<StoredEvent> | Iterable<StoredEvent>,
  initialState?: Json,
): Promise<Verification> {
  const fold: RunFold = { system: emptySystem(runId), stepper: definition.stepper(env.guard, initialState) }
  const checker = decisionChecker(fold, definition, env.limits)
  let end = fold.system.end
  try {
    for await (const stored of log) {
      const recorded = new RecordedEvent(end, stored)
      end = stored
      checker.add(recorded)
    }
    checker.end()
  } catch (error) {
    return refused(runId, end.seq, error)
  }
  return { ok: true, runId, head: end.seq, hash: end.hash }
}

/** A log that ends before its row says. */
export function truncated({ runId, head }: Pick<RunRow, 'runId' | 'head'>, end: number): Verification {
  const message = `CORRUPT_LOG: the log of run ${runId} ends at seq ${end}, its row says ${head}`
  return { ok: false, runId, code: 'CORRUPT_LOG', message, seq: end + 1 }
}

/** What is wrong with the log or the code is an answer; what is wrong with the store is an error. */
function refused(runId: string, seq: number, error: unknown): Verification {
  const ofStore = isStoreError(error) && error.code !== 'CORRUPT_LOG' && error.code !== 'NEWER_FORMAT'
  if (!isCodedError(error) || (ofStore && error.code !== 'NOT_JSON')) throw error
  const divergence = isKernelError(error) ? error.divergence : undefined
  const at = error.where.seq ?? seq
  return { ok: false, runId, code: error.code, message: error.message, seq: at, ...(divergence && { divergence }) }
}
