import { CodedError } from '@varve/store'
import { inspect } from 'node:util'

/** What can go wrong in this program itself. */
export type AppErrorCode = 'DATABASE_URL_MISSING' | 'HOURS_PASSED' | 'NO_QUESTION' | 'NO_ANSWER'

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
  const text = error.message.replace(/\s*\n\s*/g, ' ')
  return `error: ${text.startsWith(`${code}: `) ? text : `${code}: ${text}`}`
}

function isDebugging(): boolean {
  return (process.env['DEBUG'] ?? '').split(',').includes('varve')
}
