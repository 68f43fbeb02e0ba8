import { canonicalJson, checkId, isTerminal, sha256, type Json, type RunRow } from '@varve/store'
import type { Environment } from '../driver/environment.ts'
import { checkAnswer, notOpen, type Answer, type GivenAnswer } from '../driver/inputs.ts'
import type { Outcome } from '../driver/outcome.ts'
import { isKernelError } from '../errors.ts'
import { detach } from '../log/detach.ts'
import { enter, type Entered } from '../secrets/entering.ts'
import { isSameValue } from '../secrets/same-value.ts'
import { readSystem } from '../views/read-fold.ts'
import { findRun, postTo, registered, rejectionOf, runTerminal } from './post.ts'
import { checkRecordable } from '../driver/recordable.ts'
import { moveIf, moveRun, type KernelParts } from './parts.ts'

/** An answer to an open interrupt. */
export interface AnswerOptions {
  /** The interrupt's key, as `blockedOn` shows it. */
  readonly key: string
  /** Checked against the answer's schema, here and again when the run takes it. */
  readonly value: unknown
  /** Who answered; recorded. */
  readonly by?: string
  /** False: post it and return at once; whoever runs or recovers the run takes it. Default true. */
  readonly wait?: boolean
}

/** Posts an answer to a run's inbox and drives the run on. */
export async function resumeRun(kernel: KernelParts, runId: string, given: AnswerOptions): Promise<Outcome> {
  const { env, drives } = kernel
  checkId('the key of an interrupt', given.key)
  const entered = enter(env, given.value, 'answer')
  const answer = answerOf(env, given, entered)
  const row = await findRun(env, runId)
  const question = await questionOf(env, row, answer, given)
  if (question === 'answered so') return moveIf(kernel, runId, given.wait)
  const definition = registered(env, row)
  if (definition !== undefined) {
    // Its secrets are checked now: whoever takes it sees references.
    if (entered.secrets.length > 0) checkAnswer(definition, question.interrupt, given)
    const value = checkAnswer(definition, question.interrupt, answer)
    checkRecordable(env, 'Resumed', { ...answer, value }, 'answer')
  } else checkRecordable(env, 'Resumed', answer, 'answer')
  // The same answer has the same id, so an answer that is sent twice is kept once.
  const post = { id: postId(answer), type: 'Resumed', body: canonicalJson(answer) }
  try {
    await postTo(env, row, post, entered.secrets)
  } catch (error) {
    if (!isKernelError(error, 'RUN_TERMINAL')) throw error
    // It ended meanwhile, perhaps with this very answer.
    await questionOf(env, await findRun(env, runId), answer, given)
    return moveIf(kernel, runId, given.wait)
  }
  drives.posted(runId)
  if (given.wait === false) return { status: 'running', runId }
  const outcome = await moveRun(kernel, runId)
  await checkTaken(env, row, answer, given)
  return outcome
}

function answerOf(env: Environment, { key, by }: AnswerOptions, { value }: Entered): Answer {
  return { key, value: detach(env, value, 'answer'), ...(by !== undefined && { by }) }
}

function postId({ key, value }: Answer): string {
  return `resume:${sha256(canonicalJson([key, value]))}`
}

/**
 * The open interrupt that an answer is for. The row tells for a blocked run, the log for every other.
 *
 * @throws KernelError `NOT_OPEN` | `RUN_TERMINAL` unless this very answer was taken.
 */
async function questionOf(
  env: Environment,
  row: RunRow,
  answer: Answer,
  given: GivenAnswer,
): Promise<{ readonly interrupt: string } | 'answered so'> {
  const { runId } = row
  const listed = row.blockedOn.find(({ kind, key }) => kind === 'interrupt' && key === answer.key)
  if (listed?.name !== undefined) return { interrupt: listed.name }
  const log = await answersOf(env, runId, answer.key)
  if (log.interrupt !== undefined) return { interrupt: log.interrupt }
  if (log.taken !== undefined && (await isSameAnswer(env, row, log.taken, given))) return 'answered so'
  if (!isTerminal(row.status)) throw notOpen(runId, answer.key, 'interrupt')
  throw runTerminal(row, answer.key)
}

interface Answers {
  /** Kind of the interrupt, while it is open. */
  readonly interrupt?: string
  /** The answer that was taken. */
  readonly taken?: { readonly interrupt: string; readonly value: Json }
}

async function answersOf(env: Environment, runId: string, key: string): Promise<Answers> {
  let value: Json | undefined
  const system = await readSystem(env.store, runId, (event) => {
    if (event.type === 'Resumed' && event.data.key === key) value = event.data.value
  })
  const open = system.open.get(key)
  const closed = system.closed.get(key)
  return {
    ...(open?.kind === 'interrupt' && { interrupt: open.interrupt }),
    ...(value !== undefined && closed !== undefined && { taken: { interrupt: closed.name, value } }),
  }
}

/** @param answer - with its secrets as they were given. */
async function isSameAnswer(
  env: Environment,
  row: RunRow,
  taken: { readonly interrupt: string; readonly value: Json },
  answer: GivenAnswer,
): Promise<boolean> {
  const definition = registered(env, row)
  let value = answer.value
  try {
    if (definition !== undefined) value = checkAnswer(definition, taken.interrupt, answer)
  } catch {
    return false
  }
  return isSameValue(env, taken.value, value)
}

/** @throws KernelError with the reason when the driver set the answer aside and no equal one was taken. */
async function checkTaken(env: Environment, row: RunRow, answer: Answer, given: GivenAnswer): Promise<void> {
  const rejection = await rejectionOf(env, row.runId, postId(answer), answer.key)
  if (rejection === undefined) return
  const { taken } = await answersOf(env, row.runId, answer.key)
  if (taken === undefined || !(await isSameAnswer(env, row, taken, given))) throw rejection
}
