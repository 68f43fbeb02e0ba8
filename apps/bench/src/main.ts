import { measureAll } from './measure-all.ts'
import type { Sample } from './rounds/measure-rounds.ts'
import { CommanderError } from 'commander'
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { readArguments, type Arguments } from './arguments.ts'
import { figureText } from './report/figures.ts'
import { ratiosOf, type Ratio } from './report/ratios.ts'
import { summariesOf } from './report/summary.ts'
import { ratioTable, summaryTable } from './report/tables.ts'
import { REFERENCE_LOOP_RATE } from './rounds/calibration.ts'
import { spreadOf } from './statistics.ts'
import { targets } from './targets.ts'

// As it runs where it matters; otherwise states are frozen, so that tests find out who changes them.
process.env['NODE_ENV'] ??= 'production'

try {
  const given = readArguments(process.argv.slice(2))
  const { samples, leftOut } = await measureAll(given, progress)
  const ratios = ratiosOf(samples, targets)
  await report(given, samples, ratios)
  for (const each of leftOut) console.error(`left out: ${each}`)
  if (ratios.some(({ verdict }) => verdict === 'missed')) process.exitCode = 1
} catch (error) {
  if (!(error instanceof CommanderError)) {
    console.error(process.env['DEBUG'] === 'varve' ? error : `error: ${(error as Error).message}`)
  }
  // Whoever asks for help gets it, and that is no failure.
  process.exitCode = error instanceof CommanderError ? error.exitCode : 1
}

/** For who waits at a terminal; a file or a pipe gets none of it. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

async function report(
  { rounds, json, chart }: Arguments,
  samples: readonly Sample[],
  ratios: readonly Ratio[],
): Promise<void> {
  progress('')
  const summaries = summariesOf(samples)
  const loopRate = spreadOf(samples.map((sample) => sample.loopRate))
  const machine = {
    node: process.versions.node,
    cores: availableParallelism(),
    loopRate,
    referenceLoopRate: REFERENCE_LOOP_RATE,
  }
  if (chart !== undefined) writeFileSync(chart, (await import('./report/chart.ts')).chartSvg(summaries))
  if (json !== undefined) {
    const linesOf = (kind: string, all: readonly object[]): string =>
      all.map((each) => `${JSON.stringify({ kind, ...each })}\n`).join('')
    const at = new Date().toISOString()
    const lines = [
      linesOf('machine', [{ at, rounds, command: process.argv.slice(2), ...machine }]),
      linesOf('sample', samples),
      linesOf('figure', summaries),
      linesOf('ratio', ratios),
    ].join('')
    if (json === '-') {
      process.stdout.write(lines)
      return
    }
    writeFileSync(json, lines)
  }
  console.log(`${summaryTable(summaries)}\n${ratioTable(ratios)}`)
  const speed = `${figureText(loopRate.median / REFERENCE_LOOP_RATE)} of the reference machine (${figureText(loopRate.min / REFERENCE_LOOP_RATE)} - ${figureText(loopRate.max / REFERENCE_LOOP_RATE)})`
  console.log(
    `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}; Node ${machine.node}, ${machine.cores} cores, a loop of JavaScript at ${speed}`,
  )
}
