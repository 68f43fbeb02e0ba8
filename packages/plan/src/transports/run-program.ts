import { spawn, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import type { Readable } from 'node:stream'
import type { FoundProgram } from './find-program.ts'
import { failure, refusal } from './transport-error.ts'

/** A program and everything that it is given. */
export interface ProgramRun extends FoundProgram {
  readonly args: readonly string[]
  readonly stdin: Buffer
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly maxStdout: number
  readonly maxStderr: number
  readonly signal: AbortSignal
}

/** How a program ended. */
export interface ProgramEnd {
  /** Null when a signal ended it. */
  readonly exitCode: number | null
  readonly endedBy: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: Buffer
}

/**
 * Runs a program to its end. When it fails, the program is gone by then, and so is every process of its group.
 *
 * @throws ActionError `PROGRAM_SPAWN_FAILED` | `PROGRAM_NOT_EXECUTABLE` | `OUTPUT_TOO_LARGE`; the signal's reason.
 */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  const child = await started(run)
  const { promise, resolve, reject } = Promise.withResolvers<ProgramEnd>()
  let problem: Error | undefined
  const stop = (reason: unknown): void => {
    problem ??= reason as Error
    // The number of a process that has ended may be another one's by now.
    if (child.exitCode === null && child.signalCode === null) killGroup(child)
    else letGo(child)
  }
  const giveUp = (): void => stop(run.signal.reason)
  const stdout = collect(child.stdout, run.maxStdout, () => stop(tooLarge(run, 'stdout', run.maxStdout)))
  const stderr = collect(child.stderr, run.maxStderr, () => stop(tooLarge(run, 'stderr', run.maxStderr)))
  child.once('exit', () => {
    // What it started holds the pipes open, and must not outlive it.
    killGroup(child)
    if (problem !== undefined) letGo(child)
  })
  child.once('close', (exitCode, endedBy) => {
    run.signal.removeEventListener('abort', giveUp)
    if (problem !== undefined) reject(problem)
    else resolve({ exitCode, endedBy, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) })
  })
  run.signal.addEventListener('abort', giveUp, { once: true })
  if (run.signal.aborted) giveUp()
  // Whoever ends without reading its input closes the pipe; the exit code says what that means.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(run.stdin)
  return promise
}

async function started(run: ProgramRun): Promise<ChildProcess> {
  const { file, name, args, env, cwd } = run
  try {
    // Detached: the leader of a group, which can be killed as a whole.
    const child = spawn(file, args, { argv0: name, env, cwd, detached: true, windowsHide: true, stdio: 'pipe' })
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    return child
  } catch (error) {
    throw spawnFailure(error, run)
  }
}

const OUT_OF_RESOURCES = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ETXTBSY'])

function spawnFailure(error: unknown, { name }: ProgramRun): Error {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  const shown = path.basename(name)
  if (code === 'ENOEXEC' || code === 'EACCES') {
    return refusal('PROGRAM_NOT_EXECUTABLE', `the system does not execute ${shown} (${code})`)
  }
  const hint = code === 'ENOENT' ? '; is its interpreter there, and the folder that it runs in?' : ''
  const kind = OUT_OF_RESOURCES.has(code) ? 'transient' : 'permanent'
  return refusal('PROGRAM_SPAWN_FAILED', `${shown} could not be started (${code})${hint}`, kind)
}

function tooLarge({ name }: ProgramRun, stream: 'stdout' | 'stderr', limit: number): Error {
  const option = stream === 'stdout' ? 'maxStdout' : 'maxStderr'
  return failure(
    'OUTPUT_TOO_LARGE',
    `${path.basename(name)} wrote more than ${limit} bytes to ${stream}; raise ${option}`,
  )
}

/** Chunks of a stream, as long as they are within the limit. */
function collect(stream: Readable | null, limit: number, exceeded: () => void): readonly Buffer[] {
  const chunks: Buffer[] = []
  let size = 0
  stream?.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= limit) chunks.push(chunk)
    else exceeded()
  })
  return chunks
}

/** Nothing else waits for the pipes, which a process that left the group may hold open. */
function letGo({ stdin, stdout, stderr }: ChildProcess): void {
  for (const stream of [stdin, stdout, stderr]) stream?.destroy()
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    if (process.platform === 'win32') child.kill('SIGKILL')
    else process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody of the group is there any more.
  }
}
