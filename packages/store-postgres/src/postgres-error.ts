import { isStoreError, StoreError } from '@varve/store'

/**
 * How far a call had come when it failed: nothing was sent; what was sent changes nothing, or is rolled back for certain
 * when the connection ends; or what was sent may have been committed.
 */
export type Phase = 'unsent' | 'uncommitted' | 'committing'

/** The error of the ports for what the driver threw. Never contains the connection string. */
export function postgresError(error: unknown, phase: Phase): StoreError {
  if (isStoreError(error)) return error
  const { code, message } = detailsOf(error)
  if (code === 'ERR_INVALID_URL') {
    // Without a cause: the driver's error carries the URL with its password.
    return new StoreError(
      'INVALID_ARGUMENT',
      'url is not a connection string such as postgres://user@host:5432/database',
    )
  }
  return isAnswer(error) ? refusal(error, code, message, phase) : lostConnection(error, message, phase)
}

/** True when the connection cannot be used again. */
export function isConnectionLost(error: unknown): boolean {
  return !isAnswer(error) || isShutdown(detailsOf(error).code)
}

/** True when a statement calls a function that is not there, or not for us: nothing has happened. */
export function isRefusedFunction(error: unknown): boolean {
  return isAnswer(error) && ['42883', '42501'].includes(detailsOf(error).code)
}

/** True when the session keeps no statement of that name, or one already: nothing has happened. So it is behind a pooler. */
export function isRefusedName(error: unknown): boolean {
  return isAnswer(error) && ['26000', '42P05'].includes(detailsOf(error).code)
}

/** True when several statements were sent where there can be one: nothing has happened. */
export function isRefusedTogether(error: unknown): boolean {
  return isAnswer(error) && detailsOf(error).code === '42601'
}

/** True when a statement met what was committed after its snapshot, as it may above `read committed`: it was rolled back. */
export function isOutdated(error: unknown): boolean {
  return isAnswer(error) && detailsOf(error).code === '40001'
}

/** The server's own errors carry a severity; the driver's and the system's do not. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && 'severity' in error
}

function refusal(cause: unknown, code: string, message: string, phase: Phase): StoreError {
  if (isShutdown(code)) return lostConnection(cause, message, phase)
  if (ROLLED_BACK.has(code)) {
    const text = `the database gave up the statement in favour of another (${message}); try again`
    return new StoreError('STORE_BUSY', text, { retryable: true, cause })
  }
  if (code === '53300' || code === '25006') {
    const text = `the server takes no writes from us now (${message}); try again`
    return new StoreError('STORE_UNREACHABLE', text, { retryable: true, cause })
  }
  if (phase === 'unsent') {
    return new StoreError(
      'STORE_UNREACHABLE',
      `the server lets us not in (${message}); check user, password and database`,
      { cause },
    )
  }
  const remedy = code === '42501' ? '; grant the role what it lacks, or migrate with one that has it' : ''
  return new StoreError('STORE_FAILED', `the database refused (${message})${remedy}`, { cause })
}

/** Serialization failure, deadlock, lock not available, statement timeout: rolled back for certain. */
const ROLLED_BACK: ReadonlySet<string> = new Set(['40001', '40P01', '55P03', '57014'])

/** The session is ended, perhaps after the commit: an administrator, a crash, a timeout of the session or of its transaction. */
function isShutdown(code: string): boolean {
  return code.startsWith('08') || (code.startsWith('57P') && code !== '57P04') || code === '25P03' || code === '25P04'
}

function lostConnection(cause: unknown, message: string, phase: Phase): StoreError {
  if (message === 'Cannot use a pool after calling end on the pool') {
    return new StoreError('STORE_CLOSED', 'the pool was ended; open a new store', { cause })
  }
  if (phase === 'committing' && !isUnsent(message)) {
    const text = `the connection broke before the answer came (${message}); read what is there`
    return new StoreError('UNKNOWN_OUTCOME', text, { cause })
  }
  return new StoreError('STORE_UNREACHABLE', `no connection to the database (${message}); try again`, {
    retryable: true,
    cause,
  })
}

/** The driver refuses to send on a connection of which it knows that it has ended. */
function isUnsent(message: string): boolean {
  return message.endsWith('is not queryable')
}

function detailsOf(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  // A host with several addresses gives one error without a text for all of them.
  return { code, message: error.message === '' ? code : error.message }
}
