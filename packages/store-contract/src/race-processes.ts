import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Race, RaceResult } from './race.ts'

/** A process that hangs must fail its case, not stop the suite. */
const GUARD_MS = 90_000

type Racer = ChildProcessByStdio<Writable, Readable, Readable>

/**
 * Lets processes race, all from the same moment, and answers what each of them tells.
 *
 * @param races - One for each process.
 */
export async function raceInProcesses(races: readonly Race[]): Promise<readonly RaceResult[]> {
  const racers = races.map(startRacer)
  try {
    const outputs = racers.map(linesOf)
    const early = await Promise.all(outputs.map(async (lines) => lines.next()))
    for (const racer of racers) racer.stdin.write('go\n')
    return await Promise.all(
      outputs.map(async (lines, i) => (early[i] === 'ready' ? resultOf(await lines.next()) : resultOf(early[i]))),
    )
  } finally {
    for (const racer of racers) racer.kill()
  }
}

function startRacer(race: Race): Racer {
  // The same file, from the sources with their own resolution or built.
  const fromSource = import.meta.url.endsWith('.ts')
  const program = fileURLToPath(new URL(fromSource ? 'race-child.ts' : 'race-child.js', import.meta.url))
  const inherited = process.execArgv.filter((arg) => /^(--conditions=|-C=|--import=)/.test(arg))
  const conditions = fromSource ? ['--conditions=@varve/source'] : []
  const args = [...inherited, ...conditions, program, JSON.stringify(race)]
  const racer = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: GUARD_MS })
  // A child that could not start may be gone before it is told to go.
  racer.stdin.on('error', () => undefined)
  return racer
}

interface Lines {
  /** The next line of the process's output; what it wrote to stderr when it ends before. */
  next(): Promise<string>
}

function linesOf(racer: Racer): Lines {
  let complaint = ''
  racer.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  const lines = createInterface({ input: racer.stdout })[Symbol.asyncIterator]()
  return {
    next: async () => {
      const line = await lines.next()
      return line.done === true ? `the process ended without a result ${complaint}` : line.value
    },
  }
}

function resultOf(line = ''): RaceResult {
  try {
    return JSON.parse(line) as RaceResult
  } catch {
    return { won: [], refusals: {}, failure: line }
  }
}
