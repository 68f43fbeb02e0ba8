import type { TypedEvent } from '../log/log-event.ts'
import type { System } from '../run/system.ts'
import { EvidenceError, type EvidenceWhere } from './evidence-error.ts'
import type { EvidenceLimits } from './limits.ts'

/** A run that another one of the bundle has started. */
interface Expected {
  readonly parentId: string
  readonly workflow: string | undefined
  /** Hash of its log at its end, as its parent recorded it. */
  headHash: string | undefined
}

/** Keeps which runs belong to a bundle, and what their parents say of their ends. */
export class Family {
  readonly #limits: EvidenceLimits
  readonly #expected = new Map<string, Expected>()
  readonly #ended = new Set<string>()
  /** Children of the run that is being read, by key. */
  #byKey = new Map<string, Expected>()

  constructor(limits: EvidenceLimits) {
    this.#limits = limits
  }

  /** Takes a run that begins. @throws EvidenceError `INVALID_BUNDLE` for one that nobody in the bundle has started. */
  begin(runId: string, where: EvidenceWhere): void {
    this.#byKey = new Map()
    if (this.#expected.has(runId)) return
    const text = `run ${runId} was started by no run before it in the bundle, or is there twice`
    throw new EvidenceError('INVALID_BUNDLE', text, where)
  }

  started({ data }: TypedEvent<'ChildStarted'>, parentId: string, where: EvidenceWhere): void {
    const { key, childRunId, workflow } = data
    const child = { parentId, workflow, headHash: undefined }
    this.#byKey.set(key, child)
    this.#expect(childRunId, child, where)
  }

  completed({ data }: TypedEvent<'ChildCompleted'>): void {
    const child = this.#byKey.get(data.key)
    if (child !== undefined) child.headHash = data.headHash
  }

  /**
   * Takes the end of a run's log. One that goes on as another run hands over what is expected of it.
   *
   * @returns its parent, when that has recorded the hash with which the log ends.
   * @throws EvidenceError `CHILD_DIFFERS`.
   */
  end({ runId, started, terminal, end }: System, where: EvidenceWhere): string | undefined {
    const expected = this.#expected.get(runId)
    this.#expected.delete(runId)
    this.#ended.add(runId)
    if (expected === undefined) return undefined
    const { parentId, workflow, headHash } = expected
    if (workflow !== undefined && started !== undefined && started.workflow !== workflow) {
      const text = `run ${parentId} started ${runId} as a ${workflow}, its log is that of a ${started.workflow}`
      throw new EvidenceError('CHILD_DIFFERS', text, where)
    }
    if (terminal?.type === 'ContinuedAsNew') {
      this.#expect(terminal.newRunId, expected, where)
      return undefined
    }
    if (headHash === undefined) return undefined
    if (headHash === end.hash) return parentId
    const text = `the log of ${runId} ends with another hash than run ${parentId} recorded; one of the two is not the one that ran`
    throw new EvidenceError('CHILD_DIFFERS', text, where)
  }

  #expect(runId: string, expected: Expected, where: EvidenceWhere): void {
    // Whoever says so second might take back what the first has recorded of its end. A fork asks again for what it has copied.
    const before = this.#expected.get(runId)
    const isAgain = before?.parentId === expected.parentId && before.headHash === undefined
    if ((before !== undefined && !isAgain) || this.#ended.has(runId)) {
      const text = `run ${runId} is said to have been started twice in the bundle; one of the two logs is not one that ran`
      throw new EvidenceError('CHILD_DIFFERS', text, where)
    }
    this.#expected.set(runId, expected)
    if (this.#expected.size + this.#ended.size <= this.#limits.runs) return
    const text = `the bundle names more than ${this.#limits.runs} runs; raise limits.runs if that is right`
    throw new EvidenceError('LIMIT_EXCEEDED', text, where)
  }
}
