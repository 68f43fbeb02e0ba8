import { itemKeyOf, type LogDraft, type LogEvent } from '../log/log-event.ts'
import { ActionError } from '../policy/action-error.ts'
import type { OpenAction, OpenItem } from '../run/item.ts'
import type { System } from '../run/system.ts'
import { hasSecrets, openInputWithin, type OpenedInput } from '../secrets/opening.ts'
import { failedAttempt, reconcileAttempt, runAttempt, type Attempt } from './attempt.ts'
import { beforeInquiry } from './before-inquiry.ts'
import type { Environment } from './environment.ts'
import { outcomeOf } from './observer.ts'

/** What to start: the handler's abort controller is made here. */
export type NewAttempt = Omit<Attempt, 'controller' | 'opened'>

interface Running {
  readonly attempt: number
  readonly controller: AbortController
  /** What it is about: the action itself, or what became of it. */
  readonly asks: boolean
  /** False while what it needs is being opened, or waited for. */
  readonly called: boolean
  finished: boolean
}

/** The attempts of one drive that are under way, and those whose outcome is not durable yet. */
export class RunningAttempts {
  readonly #env: Environment
  readonly #onResult: (result: LogDraft | undefined) => void
  readonly #onError: (error: Error) => void
  readonly #onUnopened: (error: Error) => void
  readonly #running = new Map<string, Running>()
  /** Attempts in doubt that were asked about: once per drive. Most runs have none, and no secrets. */
  #asked: Set<string> | undefined
  /** Those about which somebody may be asked. */
  #askable: Set<string> | undefined
  /** Keys of open actions that are to be attempted, or asked about, and are not under way. */
  readonly #toDo = new Set<string>()
  /** Inputs whose secrets were opened for an attempt that has not begun. */
  #opened: Map<string, { readonly attempt: number; readonly input: OpenedInput }> | undefined

  /**
   * @param onResult - gets the event to record, or undefined when an inquiry settled nothing.
   * @param onError - gets what a policy threw.
   * @param onUnopened - gets what keeps a handler from being called, and has to be mended before the run can go on.
   */
  constructor(
    env: Environment,
    onResult: (result: LogDraft | undefined) => void,
    onError: (error: Error) => void,
    onUnopened: (error: Error) => void,
  ) {
    this.#env = env
    this.#onResult = onResult
    this.#onError = onError
    this.#onUnopened = onUnopened
  }

  get size(): number {
    return this.#running.size
  }

  /** True when the handler of the attempt under way was called. */
  isCalled(key: string): boolean {
    return this.#running.get(key)?.called === true
  }

  /**
   * Calls the handler of a durable attempt. Nothing is awaited between the caller's last look at its lease and the call: where
   * the input has secrets, they are opened first, and the caller is woken up to look again.
   */
  start(attempt: NewAttempt): void {
    this.#toDo.delete(attempt.item.key)
    const ready = this.#ready(attempt, (error) => failedAttempt(this.#env, attempt, error))
    if (ready === undefined) return
    const running = this.#begin(attempt, { asks: false, called: true })
    const { controller } = running
    const given = ready.opened === undefined ? { ...attempt, controller } : { ...attempt, ...ready, controller }
    const call = (): Promise<LogDraft> => runAttempt(this.#env, given)
    const outcome = this.#env.observe.tellsAttempts ? this.#observed(attempt, call) : call()
    outcome.then(
      (result) => {
        running.finished = true
        this.#onResult(result)
      },
      (error: unknown) => {
        this.#onError(error as Error)
      },
    )
  }

  async #observed({ runId, workflow, item }: NewAttempt, call: () => Promise<LogDraft>): Promise<LogDraft> {
    const { observe } = this.#env
    const { key, action, attempt } = item
    const identity = { runId, workflow, key, action, attempt }
    const elapsed = observe.begin()
    const result = await observe.around(identity, call)
    observe.attempt({ ...identity, ...elapsed(), ...outcomeOf(result) })
    return result
  }

  /** Asks what became of an attempt in doubt, unless this drive has asked already or there is nobody to ask. */
  reconcile(attempt: NewAttempt): void {
    const { key, attempt: number } = attempt.item
    this.#toDo.delete(key)
    const asked = `${number}:${key}`
    this.#asked ??= new Set()
    const all = this.#asked
    if (attempt.action.reconcile === undefined || all.has(asked)) return
    if (this.#askable?.has(asked) !== true) {
      this.#prepareInquiry(attempt, asked)
      return
    }
    const ready = this.#ready(attempt, (error) => {
      all.add(asked)
      this.#env.warn(error)
      return undefined
    })
    if (ready === undefined) return
    all.add(asked)
    const running = this.#begin(attempt, { asks: true, called: true })
    void reconcileAttempt(this.#env, { ...attempt, ...ready, controller: running.controller }).then((result) => {
      running.finished = true
      if (result === undefined) this.#running.delete(key)
      this.#onResult(result)
    })
  }

  /** Before secrets are opened, which somebody may erase meanwhile. */
  #prepareInquiry(attempt: NewAttempt, asked: string): void {
    const { key } = attempt.item
    const waiting = this.#begin(attempt, { asks: true, called: false })
    void beforeInquiry(this.#env, attempt, waiting.controller.signal).then(() => {
      if (this.#running.get(key) !== waiting) return
      this.#running.delete(key)
      this.#askable = (this.#askable ?? new Set()).add(asked)
      this.#toDo.add(key)
      this.#onResult(undefined)
    })
  }

  /**
   * What a handler is given besides the recorded input; undefined while that is being opened, which this begins.
   *
   * @param refuse - answers the event for an attempt that cannot begin for want of a secret.
   */
  #ready(
    attempt: NewAttempt,
    refuse: (error: Error) => LogDraft | undefined,
  ): { readonly opened?: OpenedInput } | undefined {
    const { key, attempt: number, request } = attempt.item
    const { input } = request
    if (!hasSecrets(input)) return {}
    const opened = this.#opened?.get(key)
    this.#opened?.delete(key)
    if (opened?.attempt === number) return { opened: opened.input }
    const opening = this.#begin(attempt, { asks: attempt.item.inDoubt, called: false })
    const isOver = (): boolean => this.#running.get(key) !== opening
    const { signal } = opening.controller
    openInputWithin(this.#env, input, { signal, timeoutMs: attempt.action.timeoutMs })
      .then(
        (openedInput) => {
          if (isOver()) return
          this.#running.delete(key)
          this.#opened ??= new Map()
          this.#opened.set(key, { attempt: number, input: openedInput })
          this.#toDo.add(key)
          this.#onResult(undefined)
        },
        (error: unknown) => {
          if (isOver()) return
          if (!(error instanceof ActionError)) throw error
          const result = refuse(error)
          opening.finished = true
          if (result === undefined) this.#running.delete(key)
          this.#onResult(result)
        },
      )
      .catch((error: unknown) => {
        this.#onUnopened(error as Error)
      })
    return undefined
  }

  /** Begins with a run as it was read. */
  read({ open }: System): void {
    const known = [...this.#running.keys(), ...(this.#opened?.keys() ?? [])]
    for (const key of [...known, ...open.keys()]) this.#look(key, open.get(key))
  }

  /** Takes in what is durable now: forgets what is over by that, and aborts what of it is still under way. */
  recorded({ open }: System, events: readonly LogEvent[]): void {
    for (const event of events) {
      const key = itemKeyOf(event)
      if (key !== undefined) this.#look(key, open.get(key))
    }
  }

  #look(key: string, item: OpenItem | undefined): void {
    const action = item?.kind === 'action' ? item : undefined
    const running = this.#running.get(key)
    if (running !== undefined) {
      const isCurrent = action?.attempt === running.attempt && (running.asks ? action.inDoubt : action.attempting)
      if (isCurrent) return
      this.#running.delete(key)
      if (!running.finished) running.controller.abort()
    }
    if (action?.attempting === true || action?.inDoubt === true) this.#toDo.add(key)
    else this.#toDo.delete(key)
    if (action === undefined) this.#opened?.delete(key)
  }

  /** Actions that are to be attempted, or asked about, and are not under way; in the order in which they were asked for. */
  toDo({ open }: System): readonly OpenAction[] {
    // Most turns leave nothing to do.
    if (this.#toDo.size === 0) return NOTHING
    const items: OpenAction[] = []
    for (const key of this.#toDo) items.push(open.get(key) as OpenAction)
    return items.length === 1 ? items : items.sort((a, b) => a.seq - b.seq)
  }

  /** Aborts everything. The reason is made when something is under way: most runs end with nothing that is. */
  abortAll(reason: () => unknown): void {
    for (const { finished, controller } of this.#running.values()) if (!finished) controller.abort(reason())
    this.#running.clear()
    this.#opened?.clear()
  }

  #begin({ item }: NewAttempt, how: Pick<Running, 'asks' | 'called'>): Running {
    const running = { attempt: item.attempt, controller: new AbortController(), ...how, finished: false }
    this.#running.set(item.key, running)
    return running
  }
}

const NOTHING: readonly OpenAction[] = []

/** True for an outcome that the log still waits for. */
export function isAwaited(item: OpenAction, draft: LogDraft): boolean {
  switch (draft.type) {
    case 'ActionSucceeded':
    case 'ActionFailed':
      return draft.data.attempts === item.attempt && (item.attempting || item.inDoubt)
    case 'ActionAttemptFailed':
    case 'ActionInDoubt':
      return draft.data.attempt === item.attempt && item.attempting
    case 'ActionAttemptStarted':
      return draft.data.attempt === item.attempt + 1 && item.inDoubt
    default:
      return false
  }
}
