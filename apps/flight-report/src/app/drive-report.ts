import { ActionError, isKernelError, type Kernel, type Outcome } from '@varve/kernel'
import type { Owner, RunRow } from '@varve/store'
import { z } from 'zod'
import type { FlightReport } from '../flight-report.ts'
import { clockTime, HOURS_PER_DAY } from '../flights/flight.ts'
import { dataChanged, type FlightSource } from '../flights/flight-file.ts'
import { askEditor } from './approval.ts'
import type { Arguments } from './arguments.ts'
import { AppError } from './failure.ts'
import { followElsewhere } from './follow.ts'
import type { Interruption } from './interruption.ts'
import { leaseNotice } from './lease-notice.ts'
import type { Progress } from './progress.ts'
import { readRecorded, type Recorded } from './recorded.ts'

/** What it takes to bring a run to its end. */
export interface Driving {
  readonly kernel: Kernel
  readonly workflow: FlightReport
  readonly source: FlightSource
  /** Name of the file of flights: the run's input. */
  readonly dataset: string
  readonly owner: Owner
  readonly progress: Progress
  readonly options: Arguments
  readonly interruption: Interruption
}

/** What a run leads to. */
export type ReportResult = z.infer<typeof Result>

const Result = z.discriminatedUnion('published', [
  z.object({ published: z.literal(false) }),
  z.object({ published: z.literal(true), name: z.string(), bytes: z.int() }),
])

/** Goes on with the newest unfinished run, else starts one; asks the editor when the run does. */
export async function driveReport(driving: Driving, onRun: (runId: string) => void): Promise<ReportResult> {
  const { kernel, options, workflow } = driving
  const unfinished = options.new === true ? undefined : await findUnfinished(kernel, workflow)
  const runId = unfinished?.runId ?? (await nextRunId(kernel, workflow))
  onRun(runId)
  const start = unfinished === undefined ? begin(driving, runId) : goOn(driving, unfinished)
  let outcome = await start
  while (outcome.status === 'blocked') outcome = await answer(driving, runId)
  if (outcome.status === 'completed') return Result.parse(outcome.output)
  const { message, code, kind } = outcome.status === 'failed' ? outcome.error : nothingDone
  throw new ActionError(kind, `${message} (${runId} has failed)`, { code: code ?? 'RUN_FAILED' })
}

const nothingDone = { message: 'the run was not driven', kind: 'permanent', code: undefined } as const

async function findUnfinished(kernel: Kernel, { name, version }: FlightReport): Promise<RunRow | undefined> {
  const { items } = await kernel.list({ workflow: name, statuses: ['running', 'blocked'] }, { limit: 100 })
  return items.find((row) => row.version === version)
}

/** The number after the newest run's. Of two processes that start at once, both mean the same run, and one follows. */
async function nextRunId(kernel: Kernel, { name }: FlightReport): Promise<string> {
  const { items } = await kernel.list({ workflow: name }, { limit: 1 })
  const newest = /\d+$/.exec(items[0]?.runId ?? '')?.[0]
  return `${name}-${Number(newest ?? 0) + 1}`
}

async function begin(driving: Driving, runId: string): Promise<Outcome> {
  const { kernel, workflow, dataset, progress } = driving
  console.log(`Starting run ${runId}`)
  progress.show(0)
  return watch(driving, runId, kernel.start(workflow, { dataset }, { runId }))
}

async function goOn(driving: Driving, row: RunRow): Promise<Outcome> {
  const { kernel, owner, progress, options } = driving
  const { runId } = row
  const recorded = await readRecorded(kernel, runId)
  await checkFile(driving, recorded)
  if (options.killAfter !== undefined && options.killAfter <= recorded.hours) throw hoursPassed(runId, recorded)
  console.log(`Continuing run ${runId}`)
  console.log(`${recorded.hours} of ${HOURS_PER_DAY} hours reused, continuing at ${nextPart(recorded)}`)
  const notice = leaseNotice(row, owner, Date.now())
  if (notice !== undefined) console.log(notice)
  progress.show(recorded.hours)
  return watch(driving, runId, kernel.run(runId))
}

/** The handlers check it too; but there a wrong file ends the run, and here it can still be put right. */
async function checkFile({ source, options }: Driving, { file, hours }: Recorded): Promise<void> {
  if (file === undefined || hours === HOURS_PER_DAY) return
  const found = await source.read()
  if (found.hash !== file) throw dataChanged(options.data, file, found.hash)
}

function hoursPassed(runId: string, { hours }: Recorded): AppError {
  const text = `${runId} has ${hours} hourly results already; choose a larger number, or start another run with --new`
  return new AppError('HOURS_PASSED', text)
}

function nextPart({ hours, answered }: Recorded): string {
  if (hours < HOURS_PER_DAY) return clockTime(hours)
  return answered ? 'the publication' : 'the approval'
}

async function watch({ kernel, progress }: Driving, runId: string, moving: Promise<Outcome>): Promise<Outcome> {
  const unfollow = followElsewhere(kernel, runId, progress)
  try {
    const outcome = await moving
    // It comes to a question or to its end with all hours done, whoever did them.
    if (outcome.status !== 'failed') progress.reached(HOURS_PER_DAY)
    return outcome
  } finally {
    unfollow()
    progress.end()
  }
}

async function answer(driving: Driving, runId: string): Promise<Outcome> {
  const { kernel, options, interruption } = driving
  const { question } = await readRecorded(kernel, runId)
  if (question === undefined) throw new AppError('NO_QUESTION', `${runId} is blocked, but asks nothing`)
  const verdict = await askEditor(question, { approved: options.approved, signal: interruption.signal })
  if (verdict === undefined) {
    interruption.interrupt('SIGINT')
    throw new AppError('NO_ANSWER', `${runId} still waits for an answer`)
  }
  const { approved, by } = verdict
  try {
    return await kernel.resume(runId, { key: 'approval', value: { approved }, by })
  } catch (error) {
    if (!isKernelError(error, 'NOT_OPEN') && !isKernelError(error, 'RUN_TERMINAL')) throw error
    console.log('The question was answered by another process meanwhile')
    return kernel.run(runId)
  }
}
