import { ActionError, type ErrorInfo } from '@varve/kernel'
import { checkNames, checkOptions, shown } from '@varve/store'
import type { z } from 'zod'
import { asDefinition, PlanError } from '../errors.ts'

/**
 * Why a transport failed. No text of these errors holds headers, bodies, values of the environment, or what a program was sent.
 *
 * | code | meaning |
 * |---|---|
 * | `REQUEST_INVALID` | the request has not the shape that the transport takes |
 * | `INPUT_TOO_LARGE`, `OUTPUT_TOO_LARGE` | what is sent, or what came back, is larger than allowed |
 * | `OUTPUT_NOT_JSON`, `OUTPUT_NOT_TEXT` | what came back cannot be read as what was asked for |
 * | `ORIGIN_NOT_ALLOWED`, `TOO_MANY_REDIRECTS` | the address, or one that it redirects to; redirected too often |
 * | `HTTP_STATUS`, `HTTP_FAILED`, `HTTP_TIMEOUT` | a status that is not accepted; no connection, or a broken one; no answer in time |
 * | `PATH_NOT_ALLOWED`, `WRITE_NOT_ALLOWED` | a path that leaves the root; a write where only reading is allowed |
 * | `FILE_MISSING`, `FILE_WRONG_TYPE`, `FILE_FAILED` | nothing there; no file, or no folder; the file system refused |
 * | `PROGRAM_NOT_ALLOWED`, `PROGRAM_MISSING`, `PROGRAM_NOT_EXECUTABLE` | a program that is not started |
 * | `PROGRAM_SPAWN_FAILED`, `PROGRAM_FAILED`, `PROGRAM_TIMEOUT` | not started after all; ended badly; not ended in time |
 */
export type TransportErrorCode =
  | 'REQUEST_INVALID'
  | 'INPUT_TOO_LARGE'
  | 'OUTPUT_TOO_LARGE'
  | 'OUTPUT_NOT_JSON'
  | 'OUTPUT_NOT_TEXT'
  | 'ORIGIN_NOT_ALLOWED'
  | 'TOO_MANY_REDIRECTS'
  | 'HTTP_STATUS'
  | 'HTTP_FAILED'
  | 'HTTP_TIMEOUT'
  | 'PATH_NOT_ALLOWED'
  | 'WRITE_NOT_ALLOWED'
  | 'FILE_MISSING'
  | 'FILE_WRONG_TYPE'
  | 'FILE_FAILED'
  | 'PROGRAM_NOT_ALLOWED'
  | 'PROGRAM_MISSING'
  | 'PROGRAM_NOT_EXECUTABLE'
  | 'PROGRAM_SPAWN_FAILED'
  | 'PROGRAM_FAILED'
  | 'PROGRAM_TIMEOUT'

interface FailureOptions {
  /** Default `permanent`. */
  readonly kind?: ErrorInfo['kind']
  readonly retryAfterMs?: number | undefined
}

/** A failure after which something may have happened outside. */
export function failure(code: TransportErrorCode, text: string, options: FailureOptions = {}): ActionError {
  const { kind = 'permanent', retryAfterMs } = options
  return new ActionError(kind, text, { code, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}

/** A failure before anything was done. It has no cause: what others say of a bad request may quote it. */
export function refusal(code: TransportErrorCode, text: string, kind: ErrorInfo['kind'] = 'permanent'): ActionError {
  return new ActionError(kind, text, { code, notExecuted: true })
}

/** @throws ActionError `REQUEST_INVALID` with the path of the first issue, never with the value. */
export function parseRequest(schema: z.ZodType, request: unknown): unknown {
  const { data, error } = schema.safeParse(request)
  if (error === undefined) return data
  const [issue] = error.issues
  // A name that is none may hold the value, too: `KEY=value`.
  const isName = issue?.code === 'invalid_key'
  const path = isName ? issue.path.slice(0, -1) : (issue?.path ?? [])
  const message = isName ? `a name ${issue.issues[0]?.message ?? 'does not fit'}` : (issue?.message ?? 'does not fit')
  throw refusal('REQUEST_INVALID', `${['request', ...path].map(String).join('.')}: ${message}`)
}

/**
 * By a bound that is misspelt a program would have 5 minutes where it was to have 5 seconds.
 *
 * @throws PlanError `INVALID_DEFINITION` for what are no options, and for one that there is not.
 */
export function checkTransport(what: string, options: object, names: Readonly<Record<string, true>>): void {
  asDefinition(checkOptions, `what ${what} is given`, options)
  asDefinition(checkNames, what, options, names)
}

/** @throws PlanError `INVALID_DEFINITION` unless the option is a whole number from 1. */
export function checkBound(what: string, name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return
  throw new PlanError('INVALID_DEFINITION', `${what}: ${name} must be a whole number from 1, got ${shown(value)}`)
}
