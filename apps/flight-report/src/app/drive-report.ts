import { ActionError, isKernelError, type Timeline } from '@varve/kernel'
import type { Engine, PlanOutcome } from '@varve/plan'
import type { Owner, RunRow } from '@varve/store'
import { hourOfKey, Question, ReportParams, type FlightReport } from '../flight-plan.ts'
import { clockTime, HOURS_PER_DAY } from '../flights/flight.ts'
import { dataChanged, type FlightFile } from '../flights/flight-file.ts'
import type { PublishedReport } from '../report/publications.ts'
import { askEditor } from './approval.ts'
import type { Arguments } from './arguments.ts'
import { AppError } from './failure.ts'
import type { Interruption } from './interruption.ts'
import type { Kill } from './kill.ts'
import { leaseNotice } from './lease-notice.ts'
import type { Progress } from './progress.ts'
import { findUnfinished, nextRunId } from './runs.ts'

/** What it takes to bring a run to its end. */
export interface Driving {
  readonly engine: Engine
  readonly plan: FlightReport
  readonly read: () => Promise<FlightFile>
  /** Name of the file of flights. */
  readonly dataset: string
  readonly owner: Owner
  readonly progress: Progress
  readonly kill: Kill
  readonly options: Arguments
  readonly interruption: Interruption
}

/** Goes on with the newest unfinished run, else starts one; asks the editor when the run does. @returns undefined for a no. */
export async function driveReport(
  driving: Driving,
  onRun: (runId: string) => void,
): Promise<PublishedReport | undefined> {
  const { engine, options, plan } = driving
  // The number first: a run that another process begins meanwhile is then found, or begun by both.
  const nextId = await nextRunId(engine.kernel, plan)
  const unfinished = options.new === true ? undefined : await findUnfinished(engine.kernel, plan)
  const runId = unfinished?.runId ?? nextId
  onRun(runId)
  await (unfinished === undefined ? begin(driving, runId) : goOn(driving, unfinished))
  let outcome = await watch(driving, runId, async () => engine.run(runId))
  while (outcome.status === 'blocked') outcome = await answer(driving, runId)
  // The plan's own output.
  if (outcome.status === 'completed') return outcome.output as PublishedReport
  const { message, code } = outcome.status === 'failed' ? outcome.error : { message: `the run is ${outcome.status}` }
  if (code === 'APPROVAL_REFUSED') return undefined
  throw new ActionError('permanent', `${message} (${runId} has failed)`, { code: code ?? 'RUN_FAILED' })
}

async function begin({ engine, plan, dataset, options, progress, kill }: Driving, runId: string): Promise<void> {
  console.log(`Starting run ${runId}`)
  const { since = 0 } = options
  progress.show(since, 0)
  kill.begin(progress.total, 0)
  const config = { maxConcurrency: options.atOnce }
  await engine.start(plan, { dataset, since }, { runId, config, wait: false })
}

async function goOn(driving: Driving, row: RunRow): Promise<void> {
  const { engine, owner, progress, options, kill } = driving
  const { runId } = row
  const { since } = ReportParams.parse((await engine.manifest(runId)).params)
  const { load, next } = await standOf(engine, runId)
  checkSince(runId, since, options)
  await checkData(driving, load)
  const timeline = await engine.kernel.timeline(runId)
  const hours = hoursIn(timeline)
  const total = HOURS_PER_DAY - since
  if (options.killAfter !== undefined) checkKill(runId, options.killAfter, { hours: hours.size, total })
  console.log(`Continuing run ${runId}`)
  const missing = Array.from({ length: total }, (_, i) => clockTime(since + i)).find((hour) => !hours.has(hour))
  const where = load === undefined || missing === undefined ? `with ${next}` : `at ${missing}`
  console.log(`${hours.size} of ${total} hours reused, continuing ${where}`)
  const notice = leaseNotice(row, owner, Date.now())
  if (notice !== undefined) console.log(notice)
  progress.show(since, hours.size)
  kill.begin(total, hours.size)
}

/** What has been loaded, and the first state that is not there yet. */
async function standOf(engine: Engine, runId: string) {
  const { states } = await engine.status(runId)
  const next = states.find(({ artifact }) => artifact === undefined)
  return { load: states.find(({ id }) => id === 'load')?.artifact?.$artifact, next: next?.id ?? 'end' }
}

function hoursIn({ events }: Timeline): ReadonlySet<string> {
  return new Set(events.flatMap(({ type, key }) => (type === 'ActionSucceeded' ? (hourOfKey(key) ?? []) : [])))
}

function checkSince(runId: string, since: number, options: Arguments): void {
  if (options.since === undefined || options.since === since) return
  const text = `${runId} reports from ${clockTime(since)} on; leave out --since to go on, or start another run with --new`
  throw new AppError('SINCE_CHANGED', text)
}

/** A run that has its flights needs no file any more; but it does not read another one than the one that is asked for. */
async function checkData({ read, options }: Driving, loaded: FlightFile['hash'] | undefined): Promise<void> {
  if (loaded === undefined || !options.dataNamed) return
  const found = await read()
  if (found.hash !== loaded) throw dataChanged(options.data, loaded, found.hash)
}

/** Whoever wants to see a kill would wait for it in vain. */
function checkKill(runId: string, killAfter: number, { hours, total }: { hours: number; total: number }): void {
  const another = 'or start another run with --new'
  if (killAfter <= hours) {
    throw new AppError(
      'HOURS_PASSED',
      `${runId} has ${hours} hourly results already; choose a larger number, ${another}`,
    )
  }
  if (killAfter > total) {
    throw new AppError('HOURS_MISSING', `${runId} folds ${total} hours in all; choose a smaller number, ${another}`)
  }
}

async function watch(
  { engine, progress }: Driving,
  runId: string,
  move: () => Promise<PlanOutcome>,
): Promise<PlanOutcome> {
  const over = new AbortController()
  // Whatever is wrong with the run is told by the call that moves it.
  const following = progress.follow(engine, runId, over.signal).catch(() => undefined)
  try {
    const outcome = await move()
    // It comes to a question or to its end with all hours done, whoever did them.
    if (outcome.status !== 'failed' || outcome.error.code === 'APPROVAL_REFUSED') progress.finished()
    return outcome
  } finally {
    over.abort()
    await following
    progress.end()
  }
}

async function answer(driving: Driving, runId: string): Promise<PlanOutcome> {
  const { engine, options, interruption } = driving
  const { items } = await engine.kernel.listInterrupts({ workflow: driving.plan.id })
  const asked = items.find((each) => each.runId === runId)
  if (asked === undefined) {
    const text = `nobody can tell whether ${runId} has published; look for its report, then say so with kernel.settle`
    throw new AppError('IN_DOUBT', text)
  }
  const question = Question.parse(asked.value)
  const verdict = await askEditor(question, { approved: options.approved, signal: interruption.signal })
  if (verdict === undefined) {
    interruption.interrupt('SIGINT')
    throw new AppError('NO_ANSWER', `${runId} still waits for an answer`)
  }
  try {
    return await engine.approve(runId, 'approval', verdict)
  } catch (error) {
    if (!isKernelError(error, 'NOT_OPEN') && !isKernelError(error, 'RUN_TERMINAL')) throw error
    console.log('The question was answered by another process meanwhile')
    return engine.run(runId)
  }
}
