import { createKernel, type Kernel, type Outcome } from '@varve/kernel'
import { sqliteStore } from '@varve/store-sqlite'
import { readFlightFile } from 'flight-report/flights/flight-file'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { defineFlightCheck, Oddities } from './flight-check.ts'

const USAGE = 'usage: flight-check <file of flights> [--accept | --refuse]'

// Whoever read our output may leave (`... | head`); the run goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`error: ${printable((error as Error).message)}`)
  process.exitCode = 1
}

async function main(): Promise<number> {
  const options = { accept: { type: 'boolean' }, refuse: { type: 'boolean' } } as const
  const { positionals, values } = parseArgs({ allowPositionals: true, options })
  const [file] = positionals
  if (file === undefined || positionals.length > 1 || (values.accept && values.refuse)) throw new Error(USAGE)
  const answer = (values.accept ?? values.refuse) ? values.accept === true : undefined

  // Read once: what becomes of the file meanwhile is no business of the run, which is named by what was read.
  const flights = await readFlightFile(file)
  await using store = await sqliteStore({ path: path.join('.varve', 'checks.sqlite') })
  const flightCheck = defineFlightCheck(async () => flights)
  await using kernel = createKernel({
    ...{ store, workflows: [flightCheck] },
    onCommitted: (_, events) => {
      for (const { type, data } of events) if (type === 'ActionSucceeded') console.log(`done  ${data.key}`)
    },
  })
  // The same content is the same run, so starting it again goes on with it, or answers what it came to.
  const runId = `check-${flights.hash.slice('sha256:'.length, 'sha256:'.length + 12)}`
  const outcome = await kernel.start(flightCheck, { file: flights.hash }, { runId })
  if (outcome.status !== 'blocked') return tell(outcome)
  if (answer !== undefined) return tell(await kernel.resume(runId, { key: 'accept', value: answer }))
  const oddities = Oddities.parse(await questionOf(kernel, runId, flightCheck.name))
  for (const { hour, delays } of oddities) console.log(`odd   ${hour}  ${delays.join(', ')} minutes`)
  console.log(`Run ${runId} asks whether to accept them: run this again with --accept or --refuse`)
  return 0
}

/** What a run asks. Checks of other files may be open as well, and more of them than a page holds. */
async function questionOf(kernel: Kernel, runId: string, workflow: string): Promise<unknown> {
  for (let cursor: string | undefined; ;) {
    const { items, next } = await kernel.listInterrupts({ workflow }, cursor === undefined ? {} : { cursor })
    const found = items.find((each) => each.runId === runId)
    if (found !== undefined || next === undefined) return found?.value
    cursor = next
  }
}

/** An error may quote what stands in a file, and a terminal would do what control characters say. */
function printable(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replace(/\p{Cc}/gu, '\uFFFD')
}

function tell(outcome: Outcome<unknown>): number {
  if (outcome.status === 'failed') throw new Error(`${outcome.runId} has failed: ${outcome.error.message}`)
  console.log(`Run ${outcome.runId}: ${JSON.stringify('output' in outcome ? outcome.output : outcome.status)}`)
  return 0
}
