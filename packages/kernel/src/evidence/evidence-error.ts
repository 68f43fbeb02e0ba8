import { CodedError, isCodedError, isStoreError } from '@varve/store'
import { isKernelError, type Divergence } from '../errors.ts'

/**
 * What can be wrong with a bundle.
 *
 * | code | meaning |
 * |---|---|
 * | `EMPTY_BUNDLE`, `NOT_TEXT`, `NOT_A_BUNDLE` | nothing there; bytes that are no UTF-8; text that is something else |
 * | `NEWER_FORMAT` | a later release wrote the bundle, or an event in it |
 * | `TRUNCATED` | it ends amid a line, or before its last line |
 * | `INVALID_BUNDLE` | a line that was changed, or does not belong where it stands |
 * | `CORRUPT_LOG` | an event out of order, or whose hash does not follow from its text and the events before it |
 * | `NOT_CANONICAL` | the data of an event is not the canonical text of a JSON value |
 * | `INVALID_LOG` | events that cannot follow each other, or whose data has the wrong shape |
 * | `FACTS_DIFFER` | what is said of a run is not what its log says |
 * | `LINEAGE_DIFFERS` | the copied events of a fork do not lead to the hash of the run it was taken from |
 * | `CHILD_DIFFERS` | a child's log is not the one whose end its parent recorded |
 * | `ARTIFACT_MISSING`, `ARTIFACT_DIFFERS` | an artifact that a log refers to is not in the bundle; its bytes do not have the hash that names it |
 * | `LIMIT_EXCEEDED` | larger than the reader allows |
 * | `BAD_SIGNATURE`, `UNTRUSTED_KEY` | the signature does not fit; it fits, by a key that is not among the trusted ones |
 * | `HEAD_DIFFERS` | the log does not end with the head that was noted elsewhere |
 */
export type EvidenceCode =
  | 'EMPTY_BUNDLE'
  | 'NOT_TEXT'
  | 'NOT_A_BUNDLE'
  | 'NEWER_FORMAT'
  | 'TRUNCATED'
  | 'INVALID_BUNDLE'
  | 'CORRUPT_LOG'
  | 'NOT_CANONICAL'
  | 'INVALID_LOG'
  | 'FACTS_DIFFER'
  | 'LINEAGE_DIFFERS'
  | 'CHILD_DIFFERS'
  | 'ARTIFACT_MISSING'
  | 'ARTIFACT_DIFFERS'
  | 'LIMIT_EXCEEDED'
  | 'BAD_SIGNATURE'
  | 'UNTRUSTED_KEY'
  | 'HEAD_DIFFERS'

/** Where something was found in a bundle. */
export interface EvidenceWhere {
  /** 1-based line of the file. */
  readonly line: number
  readonly runId?: string
  /** Position in that run's log, 1-based. */
  readonly seq?: number
}

/** How a check ends that found something. Never leaves this folder: callers get it as a result. */
export class EvidenceError extends CodedError<EvidenceCode> {
  readonly line: number

  constructor(code: EvidenceCode, text: string, { line, ...where }: EvidenceWhere) {
    super('Evidence', code, text, where)
    this.line = line
  }
}

/** What was found, as a result. */
export interface Refusal {
  readonly ok: false
  readonly code: string
  /** Says what is wrong and where, for people. */
  readonly message: string
  readonly where: EvidenceWhere
  /** With `CODE_CHANGED`: the first decision that the code would make otherwise. */
  readonly divergence?: Divergence
}

/** @throws the error itself when it is none of the bundle's, but of whatever it is read from. */
export function refusalOf(error: unknown, lineOf: (seq: number | undefined) => number): Refusal {
  if (!isCodedError(error) || (isStoreError(error) && !OF_THE_LOG.has(error.code))) throw error
  const { runId, seq } = error.where
  const line = 'line' in error && typeof error.line === 'number' ? error.line : lineOf(seq)
  const where = { line, ...(runId !== undefined && { runId }), ...(seq !== undefined && { seq }) }
  const divergence = isKernelError(error) ? error.divergence : undefined
  return { ok: false, code: error.code, message: error.message, where, ...(divergence && { divergence }) }
}

const OF_THE_LOG: ReadonlySet<string> = new Set(['CORRUPT_LOG', 'NEWER_FORMAT', 'NOT_JSON', 'LIMIT_EXCEEDED'])
