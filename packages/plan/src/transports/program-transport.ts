import { systemClock, type Clock } from '@varve/kernel'
import { checkList, checkOptions, type Json, type NamesOf } from '@varve/store'
import path from 'node:path'
import { z } from 'zod'
import { asDefinition, PlanError } from '../errors.ts'
import { decodeContent, encodeJson } from './content.ts'
import { beforeDeadline } from './deadline.ts'
import { findProgram } from './find-program.ts'
import { programFailure } from './program-failure.ts'
import { runProgram, type ProgramRun } from './run-program.ts'
import { checkBound, checkTransport, failure, parseRequest, refusal } from './transport-error.ts'
import type { Transport } from './transport.ts'

/** Which programs may be run, and within which bounds. */
export interface ProgramTransportOptions {
  /** Absolute paths of programs, and of folders whose programs are allowed. Links are followed before anything is compared. */
  readonly allow: readonly string[]
  /** In bytes, each 1 MiB by default. A program that says more is killed. */
  readonly maxStdin?: number
  readonly maxStdout?: number
  readonly maxStderr?: number
  /** From the start to the end of the program, writing its input included. Default 5 minutes. */
  readonly timeoutMs?: number
  /** The program's environment, over that of the request; nothing else is in it. This is where credentials go. */
  readonly env?: Readonly<Record<string, string>>
  /** Folder in which programs run. Default `/`. */
  readonly cwd?: string
  /** Default: the clock of this machine. */
  readonly clock?: Clock
}

const OPTIONS: NamesOf<ProgramTransportOptions> = {
  ...{
    allow: true,
    maxStdin: true,
    maxStdout: true,
    maxStderr: true,
    timeoutMs: true,
    env: true,
    cwd: true,
    clock: true,
  },
}

/** One run of a program. It is recorded: credentials go into the transport's `env`. */
// A type and no interface: only that is JSON to the compiler.
export type ProgramRequest = {
  /** Absolute path; no shell reads it. */
  readonly program: string
  readonly args?: readonly string[]
  /** Written to the program as canonical JSON. Default: its input is empty. */
  readonly stdin?: Json
  /** Without the names by which loaders and interpreters take code. */
  readonly env?: Readonly<Record<string, string>>
  /** Form of what the program writes. Default `json`. */
  readonly as?: 'json' | 'text'
}

/** What a program wrote before it ended with exit code 0. */
// A type and no interface: only that is JSON to the compiler.
export type ProgramResponse = {
  /** `null` for nothing at all that was asked for as JSON. */
  readonly stdout: Json
}

/** Names that make a loader, a shell or an interpreter run other code than the program's own. */
const TAKES_CODE =
  /^(LD_|DYLD_|BASH_FUNC_|PERL5|RUBY|JAVA_TOOL_|_JAVA_|JDK_JAVA_)|^(PATH|ENV|BASH_ENV|IFS|SHELLOPTS|BASHOPTS|PS4|PERLLIB|GCONV_PATH|NODE_OPTIONS|NODE_PATH|PYTHON(PATH|HOME|STARTUP|BREAKPOINT|USERBASE))$/

const noNul = z.string().regex(/^[^\0]*$/, 'must not hold a NUL')
const variable = z
  .string()
  .regex(/^[A-Za-z_]\w*$/, 'is no name of a variable')
  .refine(
    (name) => !TAKES_CODE.test(name),
    "brings in other code, as LD_PRELOAD and PATH do; set it in the transport's env",
  )

const requestSchema = z.strictObject({
  program: noNul.refine((given) => path.isAbsolute(given), 'must be an absolute path'),
  args: z.array(noNul).max(10_000).optional(),
  stdin: z.unknown().optional(),
  env: z.record(variable, noNul).optional(),
  as: z.enum(['json', 'text']).optional(),
})

/**
 * Local programs from a list of allowed ones, without a shell, in an environment that is empty but for what is given. A program
 * runs in a process group of its own, which is killed when time is over, when the caller gives up, and when the program has
 * ended, so that nothing of it goes on afterwards. Exit code 75 (`EX_TEMPFAIL`) and a kill from outside count as transient.
 *
 * @throws PlanError `INVALID_DEFINITION` for options that can never work.
 */
export function programTransport(options: ProgramTransportOptions): Transport<ProgramRequest, ProgramResponse> {
  const what = 'programTransport'
  checkTransport(what, options, OPTIONS)
  asDefinition(checkList, `${what}: allow`, options.allow)
  const { maxStdin = 2 ** 20, maxStdout = 2 ** 20, maxStderr = 2 ** 20, timeoutMs = 300_000 } = options
  const { allow, env = {}, cwd = '/', clock = systemClock } = options
  if (allow.length === 0 || ![...allow, cwd].every(isPlainAbsolute)) {
    const rule = 'allow takes absolute paths, at least one, and cwd takes an absolute path'
    throw new PlanError('INVALID_DEFINITION', `${what}: ${rule}`)
  }
  asDefinition(checkOptions, `${what}: env`, env)
  if (!Object.entries(env).every(isVariable)) {
    throw new PlanError('INVALID_DEFINITION', `${what}: env holds a name or a value that no environment can hold`)
  }
  for (const [name, value] of Object.entries({ maxStdin, maxStdout, maxStderr, timeoutMs })) {
    checkBound(what, name, value)
  }
  return {
    call: async (given, { signal }) => {
      const request = parseRequest(requestSchema, given) as ProgramRequest
      const stdin = inputOf(request, maxStdin)
      const timedOut = (): Error =>
        failure('PROGRAM_TIMEOUT', `${shown(request)} took longer than ${timeoutMs} ms`, { kind: 'transient' })
      const stdout = await beforeDeadline({ signal, timeoutMs, clock, timedOut }, async (ending) => {
        const found = await findProgram(request.program, allow)
        ending.throwIfAborted()
        const run: ProgramRun = {
          ...{ ...found, args: request.args ?? [], stdin, env: { ...request.env, ...env }, cwd },
          ...{ maxStdout, maxStderr, signal: ending },
        }
        const end = await runProgram(run)
        if (end.exitCode !== 0) throw programFailure(end, { shown: shown(request), env: run.env, stdin: request.stdin })
        return end.stdout
      })
      return { stdout: decodeContent(stdout, request.as ?? 'json', `what ${shown(request)} wrote`) }
    },
  }
}

function isVariable([name, value]: readonly [string, unknown]): boolean {
  return /^[^=\0]+$/.test(name) && typeof value === 'string' && !value.includes('\0')
}

function isPlainAbsolute(given: unknown): boolean {
  return typeof given === 'string' && path.isAbsolute(given) && !given.includes('\0')
}

function shown({ program }: ProgramRequest): string {
  return path.basename(program)
}

function inputOf({ stdin }: ProgramRequest, maxStdin: number): Buffer {
  if (stdin === undefined) return Buffer.alloc(0)
  const bytes = encodeJson(stdin, 'request.stdin')
  if (bytes.length <= maxStdin) return bytes
  throw refusal('INPUT_TOO_LARGE', `request.stdin is larger than ${maxStdin} bytes; raise maxStdin`)
}
