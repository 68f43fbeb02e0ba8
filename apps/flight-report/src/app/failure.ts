import { CodedError } from '@varve/store'
import { tellError, type Remedies } from '../terminal/told-error.ts'

/** What can go wrong in this program itself. */
export type AppErrorCode =
  'DATABASE_URL_MISSING' | 'HOURS_PASSED' | 'HOURS_MISSING' | 'SINCE_CHANGED' | 'NO_RUN' | 'NO_ANSWER' | 'IN_DOUBT'

/** An error of this program, shaped as those of the library are. */
export class AppError extends CodedError<AppErrorCode> {
  constructor(code: AppErrorCode, text: string) {
    super('FlightReport', code, text)
  }
}

/** What a person is told of an error, in one line. */
export function describeFailure(error: unknown): string {
  return tellError(error, REMEDIES)
}

/** What keeps the unfinished run from going on, however often it is tried. */
const STUCK = [
  ...['CORRUPT_LOG', 'INVALID_LOG', 'NEWER_FORMAT', 'CODE_CHANGED', 'POISONED'],
  ...['PLAN_CHANGED', 'MANIFEST_CORRUPT'],
]

/** What to do here about errors of what this program shares with others. */
export const REMEDIES: Remedies = {
  DATA_UNREADABLE: 'name a readable file with --data',
  DATA_INVALID: 'restore the file, or name another one with --data',
  DATA_CHANGED: 'leave out --data or bring that file back, or start another run with --new',
  ENOSPC: 'make room where the output goes; the run goes on without telling',
  ...Object.fromEntries(STUCK.map((code) => [code, 'or leave that run alone and start another one with --new'])),
}
