import { KernelError, type LogEvent } from '@varve/kernel'
import { TURN_EVENTS, type Ask, type Stepper, type Want } from '@varve/kernel/stepper'
import type { Json } from '@varve/store'
import type { PlanDefinition } from '../definition/plan.ts'
import { outcomeOf, type ItemOutcome } from './outcome.ts'
import type { PlanInput } from './plan-input.ts'
import { Schedule } from './schedule.ts'

/** What a snapshot of a run holds: enough to close the same items in the same order. */
interface SavedSchedule {
  readonly input: PlanInput | null
  readonly closed: readonly (readonly [key: string, outcome: ItemOutcome])[]
}

/** A schedule moves by what closes. */
const UNSEEN: ReadonlySet<LogEvent['type']> = new Set(['ActionRequested', 'ActionAttemptStarted'])

/** Decides what a run of a plan should have in flight. All of a plan's scheduling is in here and in {@link Schedule}. */
export class PlanStepper implements Stepper {
  readonly ignores = UNSEEN
  readonly #plan: PlanDefinition
  #input: PlanInput | undefined
  #schedule: Schedule | undefined
  #closed: (readonly [string, ItemOutcome])[] = []

  constructor(plan: PlanDefinition) {
    this.#plan = plan
  }

  apply(event: LogEvent): void {
    if (event.type === 'RunStarted') this.#begin(event.data.input as unknown as PlanInput, event.seq)
    if (event.type === 'RunForked') this.#schedule?.reopen()
    const closed = outcomeOf(event)
    if (closed === undefined) return
    this.#closed.push([closed.key, closed.outcome])
    this.#schedule?.close(closed.key, closed.outcome)
  }

  want({ isUnderWay, isKnown, canceling }: Ask): Want {
    const schedule = this.#schedule
    if (canceling) return { kind: 'requests', known: [], fresh: [] }
    if (schedule === undefined || this.#input === undefined) {
      throw new KernelError('INVALID_STEP', 'a run of a plan begins with RunStarted; this log does not')
    }
    const isFailing = schedule.hasFailures && this.#input.config.onFailure === 'fail-fast'
    // What is under way and must not be given up is waited for.
    if (isFailing && !schedule.isDoingOnce(isUnderWay)) return failureOf(schedule)
    if (isFailing) return { kind: 'requests', known: [], fresh: [] }
    if (schedule.isOver) return schedule.hasFailures ? failureOf(schedule) : this.#complete(schedule)
    // A turn takes no more; when it is full, the rest is asked for in the next.
    const due = schedule.due(isKnown, TURN_EVENTS)
    return { kind: 'requests', known: [], fresh: due.map(({ request }) => request()) }
  }

  hold(): () => Json {
    const closed = this.#closed
    const { length } = closed
    const input = this.#input ?? null
    return () => ({ input, closed: closed.slice(0, length) }) satisfies SavedSchedule as unknown as Json
  }

  load(state: Json): void {
    const { input, closed } = state as unknown as SavedSchedule
    if (input !== null) this.#begin(input)
    this.#closed = [...closed]
    for (const [key, outcome] of closed) this.#schedule?.close(key, outcome)
  }

  #begin(input: PlanInput, seq = 1): void {
    const { id, version, hash } = this.#plan
    if (input.planHash !== hash) {
      const text =
        `plan ${id}@${version} is not the one that this run was started with (${input.planHash}, now ${hash}); ` +
        'register that one, or fork the run to go on with this one; the engine tells the difference'
      throw new KernelError('CODE_CHANGED', text, { seq })
    }
    this.#input = input
    this.#schedule = new Schedule(this.#plan, input)
  }

  #complete(schedule: Schedule): Want {
    const { output } = this.#plan
    return { kind: 'complete', output: output === undefined ? null : (schedule.outputOf(output) ?? null) }
  }
}

/** Names a few states; the log has them all. */
const NAMED = 10

function failureOf(schedule: Schedule): Want {
  const { failures } = schedule
  const [first] = failures
  if (first !== undefined && failures.length === 1) {
    const { message, code } = first.error
    const error = { message: `state ${first.id} failed: ${message}`, ...(code !== undefined && { code }) }
    return { kind: 'fail', error }
  }
  const named = failures.slice(0, NAMED).map(({ id, error }) => `${id} (${error.message.slice(0, 200)})`)
  const more = failures.length > NAMED ? `, and ${failures.length - NAMED} more` : ''
  const message = `${failures.length} states failed: ${named.join('; ')}${more}`
  return { kind: 'fail', error: { message, code: 'STATES_FAILED' } }
}
