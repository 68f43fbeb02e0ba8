import { CodedError } from '@varve/store'
import { inspect } from 'node:util'

/** What can go wrong in this program itself. */
export type AppErrorCode =
  'DATABASE_URL_MISSING' | 'HOURS_PASSED' | 'SINCE_CHANGED' | 'NO_RUN' | 'NO_ANSWER' | 'IN_DOUBT'

/** An error of this program, shaped as those of the library are. */
export class AppError extends CodedError<AppErrorCode> {
  constructor(code: AppErrorCode, text: string) {
    super('FlightReport', code, text)
  }
}

/** What a person is told of an error: its code and remedy in one line; everything under `DEBUG=varve`. */
export function describeFailure(error: unknown): string {
  if (isDebugging()) return inspect(error, { depth: 5 })
  if (!(error instanceof Error)) return `error: ${String(error)}`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  // It may quote what stands in a file, and a terminal would do what control characters say.
  const text = error.message.replace(/\s*\n\s*/g, ' ').replace(/\p{Cc}/gu, '\uFFFD')
  const told = text.startsWith(`${code}: `) ? text : `${code}: ${text}`
  return `error: ${told}${STUCK.has(code) ? '; or leave that run alone and start another one with --new' : ''}`
}

/** What keeps the unfinished run from going on, however often it is tried. */
const STUCK: ReadonlySet<string> = new Set([
  ...['CORRUPT_LOG', 'INVALID_LOG', 'NEWER_FORMAT', 'CODE_CHANGED', 'POISONED'],
  ...['PLAN_CHANGED', 'MANIFEST_CORRUPT'],
])

function isDebugging(): boolean {
  return (process.env['DEBUG'] ?? '').split(',').includes('varve')
}
