/** Where an error happened: everything that is known of it, nothing that is guessed. */
export interface ErrorWhere {
  readonly runId?: string
  /** Position in the log, 1-based. */
  readonly seq?: number
  /** Path inside a value, such as `input.items[3].when`. */
  readonly path?: string
  /** Key of an item of the run. */
  readonly key?: string
  /** Id of an artifact. */
  readonly artifact?: string
}

/** What a coded error carries besides its code and its text. */
export interface CodedErrorOptions extends ErrorWhere {
  /** True when the same call may succeed later without any change. */
  readonly retryable?: boolean
  readonly cause?: unknown
}

const layerOf: unique symbol = Symbol.for('varve.error.layer') as never

/**
 * Base of every error that crosses a package boundary: a closed code, where it happened, and a text that ends in
 * what to do about it.
 *
 * The layer is kept under a registered symbol, so errors are recognised across two installed copies of a package,
 * where `instanceof` fails.
 */
export abstract class CodedError<Code extends string> extends Error {
  readonly code: Code
  /** True when the same call may succeed later without any change. */
  readonly retryable: boolean
  readonly where: ErrorWhere
  readonly [layerOf]: string

  constructor(layer: string, code: Code, text: string, options: CodedErrorOptions = {}) {
    const { retryable = false, cause, ...where } = options
    super(`${code}: ${text}`, cause === undefined ? undefined : { cause })
    this.name = `${layer}Error`
    this.code = code
    this.retryable = retryable
    this.where = where
    this[layerOf] = layer
  }
}

/** True for an error of the given layer, from whichever installed copy; with a code, for that code alone. */
export function isCodedError(error: unknown, layer?: string, code?: string): error is CodedError<string> {
  if (typeof error !== 'object' || error === null || !(layerOf in error)) return false
  const coded = error as CodedError<string>
  return (layer === undefined || coded[layerOf] === layer) && (code === undefined || coded.code === code)
}

/**
 * What can go wrong in a store or in the format of the log.
 *
 * | code | meaning |
 * |---|---|
 * | `HEAD_CONFLICT` | the log does not end where the caller has folded to; also a second create |
 * | `FENCED` | the lease was given to somebody else, or has ended |
 * | `INBOX_PENDING` | a terminal append would leave posts behind |
 * | `INBOX_FULL` | too many posts wait for the run |
 * | `UNKNOWN_OUTCOME` | the answer of a write was lost: it may or may not have happened |
 * | `RUN_NOT_FOUND`, `RUN_TERMINAL`, `RUN_NOT_TERMINAL`, `RUN_BUSY` | the run is unknown, has ended, has not ended, is leased |
 * | `SECRET_CONFLICT`, `SECRET_ERASED` | the id of a secret holds another value, or was erased for good |
 * | `ARTIFACT_NOT_FOUND`, `ARTIFACT_CORRUPT` | no artifact has that id, or its bytes do not have the hash that names them |
 * | `INVALID_ARGUMENT` | an id, a limit or an option that no store accepts |
 * | `NOT_JSON`, `LIMIT_EXCEEDED` | a value that would not survive JSON, or is too large; with its path |
 * | `CORRUPT_LOG`, `NEWER_FORMAT` | a stored event whose hash, order or text is wrong, or that a later release wrote; the row of a run that does not fit its log, or cannot be read |
 * | `STORE_CLOSED`, `STORE_BUSY`, `STORE_UNREACHABLE`, `STORE_FAILED` | the store itself |
 * | `NOT_A_STORE`, `SCHEMA_MISSING`, `NEWER_SCHEMA` | the database is not ours, not migrated, or migrated by a later release |
 */
export type StoreErrorCode =
  | 'HEAD_CONFLICT'
  | 'FENCED'
  | 'INBOX_PENDING'
  | 'INBOX_FULL'
  | 'UNKNOWN_OUTCOME'
  | 'RUN_NOT_FOUND'
  | 'RUN_TERMINAL'
  | 'RUN_NOT_TERMINAL'
  | 'RUN_BUSY'
  | 'SECRET_CONFLICT'
  | 'SECRET_ERASED'
  | 'ARTIFACT_NOT_FOUND'
  | 'ARTIFACT_CORRUPT'
  | 'INVALID_ARGUMENT'
  | 'NOT_JSON'
  | 'LIMIT_EXCEEDED'
  | 'CORRUPT_LOG'
  | 'NEWER_FORMAT'
  | 'STORE_CLOSED'
  | 'STORE_BUSY'
  | 'STORE_UNREACHABLE'
  | 'STORE_FAILED'
  | 'NOT_A_STORE'
  | 'SCHEMA_MISSING'
  | 'NEWER_SCHEMA'

/** An error of a store or of the log's format. Test it with {@link isStoreError}, not with `instanceof`. */
export class StoreError extends CodedError<StoreErrorCode> {
  constructor(code: StoreErrorCode, text: string, options?: CodedErrorOptions) {
    super('Store', code, text, options)
  }
}

/** True for a {@link StoreError} from whichever installed copy; with a code, for that code alone. */
export function isStoreError(error: unknown, code?: StoreErrorCode): error is StoreError {
  return isCodedError(error, 'Store', code)
}

/**
 * Runs a check that all layers share; a layer refuses with an error of its own what the check refuses.
 *
 * @param refusal - Makes that error of the text of the store's, without its code.
 */
export function refusing(check: () => void, refusal: (text: string, cause: StoreError) => Error): void {
  try {
    check()
  } catch (cause) {
    throw isStoreError(cause) ? refusal(cause.message.slice(`${cause.code}: `.length), cause) : cause
  }
}
