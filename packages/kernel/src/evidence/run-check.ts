import {
  canonicalJson,
  genesis,
  isCodedError,
  isStoreError,
  type LogEnd,
  type RunStatus,
  type StoredEvent,
} from '@varve/store'
import { KernelError } from '../errors.ts'
import type { EventData } from '../log/event-data.ts'
import { RecordedEvent } from '../log/recorded-event.ts'
import { statusOf } from '../run/system.ts'
import type { RunFacts } from './bundle-line.ts'
import { EvidenceError, type EvidenceCode, type EvidenceWhere } from './evidence-error.ts'
import type { Family } from './family.ts'
import { forkChains, type ForkChains, type ForkedFrom } from './fork-chains.ts'
import type { Folding } from './lifecycle.ts'
import type { EvidenceLimits } from './limits.ts'

/** A run whose log is whole. */
export interface VerifiedRun {
  readonly runId: string
  readonly workflow: string
  readonly version: string
  readonly status: RunStatus
  /** Seq of the last event. */
  readonly head: number
  /** Hash of the whole log. */
  readonly hash: string
  /** The runs it was copied from, the eldest first. */
  readonly forkedFrom: readonly ForkedFrom[]
}

/** A run whose workflow is known. */
export type RunOfWorkflow = Pick<RunFacts, 'runId' | 'workflow' | 'version'>

/** What the checks of all runs of a bundle share. */
export interface RunChecks {
  readonly limits: EvidenceLimits
  readonly family: Family
  readonly folding: (run: RunOfWorkflow) => Folding
  /** True when the bundle is said to hold the children, too. */
  readonly children: boolean
}

/** Checks the log of one run, event by event. */
export class RunCheck {
  readonly runId: string
  readonly #checks: RunChecks
  /** Absent in a plain history. */
  readonly #facts: RunFacts | undefined
  /** The line before the first event. */
  readonly #line: number
  readonly #forks: ForkChains
  #end: LogEnd
  #started: EventData['RunStarted'] | undefined
  #folding: Folding | undefined

  /** @throws EvidenceError `LIMIT_EXCEEDED`. */
  constructor(checks: RunChecks, runId: string, { facts, line }: { facts?: RunFacts; line: number }) {
    this.#checks = checks
    this.#facts = facts
    this.#line = line
    this.runId = runId
    this.#end = genesis(runId)
    const { runEvents, forks } = checks.limits
    if (facts !== undefined && facts.head > runEvents) throw this.#tooLarge(facts.head, 'runEvents', line)
    if (facts !== undefined && facts.forks.length > forks) throw this.#tooLarge(facts.forks.length, 'forks', line)
    this.#forks = forkChains(facts?.forks ?? [])
  }

  /** Seq of the last event. */
  get head(): number {
    return this.#end.seq
  }

  /** True when the log ends where it is said to end. */
  get whole(): boolean {
    return this.#facts === undefined ? this.head > 0 : this.head === this.#facts.head
  }

  /** The line of an event that was taken, or that of the run. */
  lineOf(seq: number): number {
    return this.#line + Math.min(seq, this.head)
  }

  /** @throws EvidenceError, or what the folding has to say. */
  add(stored: StoredEvent, line: number): void {
    const { limits, family } = this.#checks
    const { runId, seq } = stored
    const where = { line, runId, seq }
    if (runId !== this.runId || (this.#facts !== undefined && this.whole)) {
      const text = `line ${line} holds seq ${seq} of run ${runId}, after seq ${this.head} of run ${this.runId}`
      throw new EvidenceError('INVALID_BUNDLE', text, where)
    }
    if (seq > limits.runEvents) throw this.#tooLarge(seq, 'runEvents', line)
    const bytes = Buffer.byteLength(stored.body)
    if (bytes > limits.bodyBytes) throw this.#tooLarge(bytes, 'bodyBytes', line, seq)
    const recorded = this.#read(stored, where)
    const { event } = recorded
    this.#end = { seq, hash: event.hash }
    this.#checkEnd(line)
    this.#forks.add(stored)
    if (event.type === 'RunForked' && this.#facts !== undefined) this.#forks.forked(event, where)
    if (this.#checks.children && event.type === 'ChildStarted') family.started(event, this.runId, where)
    if (event.type === 'ChildCompleted') family.completed(event)
    this.#fold(recorded, where)
  }

  #read(stored: StoredEvent, where: EvidenceWhere): RecordedEvent {
    try {
      const recorded = new RecordedEvent(this.#end, stored)
      const { type, data } = recorded.event
      if (canonicalJson(data, { name: type, maxDepth: this.#checks.limits.depth }) === stored.body) return recorded
    } catch (error) {
      if (!isCodedError(error)) throw error
      const text = error.message.slice(error.code.length + 2)
      const code = isStoreError(error, 'NOT_JSON') ? 'NOT_CANONICAL' : (error.code as EvidenceCode)
      throw new EvidenceError(code, text, where)
    }
    const text = `the data of seq ${stored.seq} of run ${stored.runId} is not the text that sealing makes of it`
    throw new EvidenceError('NOT_CANONICAL', text, where)
  }

  #checkEnd(line: number): void {
    const { hash, seq } = this.#end
    if (this.#facts === undefined || seq !== this.#facts.head || hash === this.#facts.hash) return
    const text = `the log of run ${this.runId} ends at seq ${seq} with another hash than line ${this.#line} says`
    throw new EvidenceError('FACTS_DIFFER', text, { line, runId: this.runId, seq })
  }

  #fold(recorded: RecordedEvent, where: EvidenceWhere): void {
    const { limits, folding } = this.#checks
    const { event } = recorded
    if (event.type === 'RunStarted') this.#started ??= event.data
    this.#folding ??= folding(this.#ofWorkflow())
    this.#folding.add(recorded)
    const kept = this.#folding.system.signals.length
    if (kept > limits.keptSignals) throw this.#tooLarge(kept, 'keptSignals', where.line, event.seq)
  }

  #ofWorkflow(): RunOfWorkflow {
    const { runId } = this
    const run = this.#facts ?? this.#started
    if (run !== undefined) return { runId, workflow: run.workflow, version: run.version }
    const text = `the history of run ${runId} begins without RunStarted, so its workflow is not known; export it as a bundle`
    throw new KernelError('WORKFLOW_MISSING', text, { runId })
  }

  /** @throws EvidenceError, or what the folding has to say. */
  finish(): VerifiedRun & { readonly provenBy: string | undefined } {
    const { runId } = this
    this.#folding?.end()
    const system = (this.#folding ??= this.#checks.folding(this.#ofWorkflow())).system
    const where = { line: Math.max(1, this.#line), runId }
    this.#checkFacts(system.started, where)
    const forkedFrom = this.#forks.end(where)
    const provenBy = this.#checks.family.end(system, { ...where, line: this.lineOf(this.head), seq: this.head })
    const { seq: head, hash } = this.#end
    const { version = this.#ofWorkflow().version } = system.started ?? {}
    return { ...this.#ofWorkflow(), version, status: statusOf(system), head, hash, forkedFrom, provenBy }
  }

  /** What the row says and the log says, too, has to be the same. */
  #checkFacts(started: EventData['RunStarted'] | undefined, where: EvidenceWhere): void {
    if (this.#facts === undefined || started === undefined) return
    const { workflow, version, tags, queue, parent } = this.#facts
    const said = { workflow, version, tags, queue, parent }
    const recorded: typeof said = { ...started, parent: started.parent?.runId }
    for (const name of ['workflow', 'version', 'tags', 'queue', 'parent'] as const) {
      if (canonicalJson(said[name] ?? null) === canonicalJson(recorded[name] ?? null)) continue
      const text = `line ${where.line} says another ${name} of run ${this.runId} than its log`
      throw new EvidenceError('FACTS_DIFFER', text, where)
    }
  }

  #tooLarge(found: number, limit: keyof EvidenceLimits, line: number, seq?: number): EvidenceError {
    const text = `run ${this.runId} reaches ${found}, limits.${limit} allows ${this.#checks.limits[limit]}; raise it if that is right`
    return new EvidenceError('LIMIT_EXCEEDED', text, { line, runId: this.runId, ...(seq !== undefined && { seq }) })
  }
}
