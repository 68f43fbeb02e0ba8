import { ActionError, createKernel, type Kernel, type Outcome } from '@varve/kernel'
import { sqliteStore } from '@varve/store-sqlite'
import { readFlightFile } from 'flight-report/flights/flight-file'
import { surviveLostOutput } from 'flight-report/terminal/output'
import { tellError } from 'flight-report/terminal/told-error'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { defineFlightCheck, Oddities } from './flight-check.ts'

const USAGE = 'usage: flight-check <file of flights> [--accept | --refuse]'

/** What to do here about errors whose texts cannot know. */
const REMEDIES = {
  USAGE,
  DATA_UNREADABLE: 'name a readable file',
  DATA_INVALID: 'restore the file, or name another one',
  ENOSPC: 'make room where the output goes, and run this again to read it',
}

surviveLostOutput((error) => console.error(tellError(error, REMEDIES)))

try {
  process.exitCode = await main()
} catch (error) {
  console.error(tellError(error, REMEDIES))
  process.exitCode = 1
}

async function main(): Promise<number> {
  const { file, answer } = readArguments()
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

/** @throws ActionError `USAGE`. */
function readArguments(): { readonly file: string; readonly answer: boolean | undefined } {
  const options = { accept: { type: 'boolean' }, refuse: { type: 'boolean' } } as const
  const refuse = (text: string): never => {
    throw new ActionError('permanent', text, { code: 'USAGE' })
  }
  const parse = () => {
    try {
      return parseArgs({ allowPositionals: true, options })
    } catch (error) {
      return refuse((error as Error).message)
    }
  }
  const { positionals, values } = parse()
  const [file, ...others] = positionals
  if (file === undefined || others.length > 0) return refuse('one file has to be named')
  if (values.accept && values.refuse) return refuse('--accept and --refuse are two answers')
  return { file, answer: (values.accept ?? values.refuse) ? values.accept === true : undefined }
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

function tell(outcome: Outcome<unknown>): number {
  if (outcome.status === 'failed') {
    const { message, code = 'RUN_FAILED' } = outcome.error
    throw new ActionError('permanent', `${outcome.runId} has failed: ${message}`, { code })
  }
  console.log(`Run ${outcome.runId}: ${JSON.stringify('output' in outcome ? outcome.output : outcome.status)}`)
  return 0
}
