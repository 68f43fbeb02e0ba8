import type { ActionError } from '@varve/kernel'
import type { Json } from '@varve/store'
import type { ProgramEnd } from './run-program.ts'
import { failure } from './transport-error.ts'

/** What a program was given, none of which may be in an error. */
interface Given {
  readonly shown: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Json | undefined
}

/** `EX_TEMPFAIL` of sysexits.h: the program asks to be tried again. */
const TRY_AGAIN = 75
/** By whoever stops or relieves the machine; other signals are the program's own doing. */
const FROM_OUTSIDE: ReadonlySet<string | null> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'])

/** A program that ended badly, with the end of what it said about it. */
export function programFailure(end: ProgramEnd, { shown, env, stdin }: Given): ActionError {
  const { exitCode, endedBy, stderr } = end
  const isTransient = exitCode === TRY_AGAIN || FROM_OUTSIDE.has(endedBy)
  const how = exitCode === null ? `was ended by ${endedBy}` : `ended with exit code ${exitCode}`
  const said = tailOf(stderr, [...Object.values(env), ...textsIn(stdin)])
  return failure('PROGRAM_FAILED', `${shown} ${how}${said === '' ? '' : `: ${said}`}`, {
    kind: isTransient ? 'transient' : 'permanent',
  })
}

/** Longest tail in an error, in characters. */
const TAIL = 2_000
/** So much is searched for given values, so that none is cut before it can be found. */
const SEARCHED = 16_384
/** Shorter values say nothing, and are found everywhere. */
const SHORTEST = 4

function tailOf(stderr: Buffer, given: readonly string[]): string {
  let text = new TextDecoder().decode(stderr.subarray(-SEARCHED))
  const values = given.flatMap((value) => [value, JSON.stringify(value).slice(1, -1)])
  // The longest first: one value may be part of another.
  const longestFirst = [...new Set(values)].sort((a, b) => b.length - a.length)
  for (const value of longestFirst) {
    if (value.length >= SHORTEST && text.includes(value)) text = text.replaceAll(value, '[given]')
  }
  return text.slice(-TAIL).trim().toWellFormed()
}

function textsIn(value: Json | undefined): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value as Readonly<Record<string, Json>>).flatMap(([, part]) => textsIn(part))
}
