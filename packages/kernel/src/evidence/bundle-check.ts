import { createHash } from 'node:crypto'
import { isCodedError } from '@varve/store'
import { parseBundleLine, type BundleEnd, type BundleLine, type BundleSignature } from './bundle-line.ts'
import { BundleArtifacts } from './bundle-artifacts.ts'
import { EvidenceError, refusalOf, type Refusal } from './evidence-error.ts'
import { Family } from './family.ts'
import type { Folding } from './lifecycle.ts'
import { lineBytes, type EvidenceLimits } from './limits.ts'
import { RunCheck, type RunOfWorkflow, type VerifiedRun } from './run-check.ts'
import { isSignatureOf, type Statement } from './signature.ts'
import { textLines, type EvidenceSource } from './text-lines.ts'

/** What a bundle holds when nothing is wrong with it. */
export interface CheckedBundle {
  readonly ok: true
  readonly runs: readonly CheckedRun[]
  readonly signature: BundleSignature | undefined
  /** False when the artifacts that the runs refer to were left out. */
  readonly artifacts: boolean
  /** The last line of the first run's log, and of the bundle. */
  readonly lines: { readonly head: number; readonly last: number }
}

/** A run of a bundle. */
export interface CheckedRun extends VerifiedRun {
  /** The run of the bundle that has recorded the hash with which the log of this one ends. */
  readonly provenBy: string | undefined
}

/** How a bundle is checked. */
export interface BundleChecks {
  readonly limits: EvidenceLimits
  readonly folding: (run: RunOfWorkflow) => Folding
  /** Also take the events of one run with nothing around them. */
  readonly plain: boolean
}

/** Reads a bundle from its first line to its last, and checks all that needs no knowledge from elsewhere. */
export async function checkBundle(source: EvidenceSource, checks: BundleChecks): Promise<CheckedBundle | Refusal> {
  const check = new BundleCheck(checks)
  const lineOf = (seq: number | undefined): number => check.lineOf(seq)
  try {
    for await (const { line, text } of textLines(source, lineBytes(checks.limits))) {
      try {
        check.take(line, text)
      } catch (error) {
        return refusalOf(error, lineOf)
      }
    }
  } catch (error) {
    // What the source throws says nothing of the bundle.
    if (isCodedError(error, 'Evidence')) return refusalOf(error, lineOf)
    throw error
  }
  try {
    return check.finish()
  } catch (error) {
    return refusalOf(error, lineOf)
  }
}

class BundleCheck {
  readonly #checks: BundleChecks
  readonly #family: Family
  readonly #artifacts: BundleArtifacts
  readonly #digest = createHash('sha256')
  readonly #runs: CheckedRun[] = []
  #line = 0
  #header: Extract<BundleLine, { kind: 'header' }> | undefined
  #run: RunCheck | undefined
  #events = 0
  #end: BundleEnd | undefined
  #signature: BundleSignature | undefined
  #headLine = 0

  constructor(checks: BundleChecks) {
    this.#checks = checks
    this.#family = new Family(checks.limits)
    this.#artifacts = new BundleArtifacts(checks.limits)
  }

  take(line: number, text: string): void {
    this.#line = line
    const content = parseBundleLine(text, line)
    if (this.#signature !== undefined) throw this.#misplaced('it comes after the signature')
    // What comes behind the end is refused below, and the digest has been taken.
    const isDigested = content.kind !== 'end' && content.kind !== 'signature' && this.#end === undefined
    if (isDigested) this.#digest.update(`${text}\n`)
    if (content.kind !== 'artifact') this.#artifacts.checkWhole(line)
    switch (content.kind) {
      case 'header':
        if (line > 1) throw this.#misplaced('a bundle begins there')
        this.#header = content
        return
      case 'run':
        this.#beginRun(content)
        return
      case 'event':
        this.#takeEvent(content)
        return
      case 'artifact':
        if (this.#header?.artifacts !== true || this.#end !== undefined || this.#run?.whole !== true) {
          throw this.#misplaced('an artifact has no run there')
        }
        this.#artifacts.take(content.part, { line, runId: this.#run.runId })
        return
      case 'end':
        this.#takeEnd(content.end)
        return
      case 'signature':
        this.#signature = this.#checkedSignature(content.signature)
    }
  }

  /** @throws EvidenceError `TRUNCATED`. */
  finish(): CheckedBundle {
    if (this.#header === undefined && this.#run?.whole) this.#finishRun()
    else if (this.#end === undefined) {
      const text = `it ends after line ${this.#line}, before it is whole; get the bundle again`
      throw new EvidenceError('TRUNCATED', text, { line: this.#line + 1 })
    }
    const lines = { head: this.#headLine, last: this.#line }
    const artifacts = this.#header?.artifacts === true
    return { ok: true, runs: this.#runs, signature: this.#signature, artifacts, lines }
  }

  /** The line of an event of the run that is being read. */
  lineOf(seq: number | undefined): number {
    return seq === undefined || this.#run === undefined ? this.#line : this.#run.lineOf(seq)
  }

  #beginRun({ facts }: Extract<BundleLine, { kind: 'run' }>): void {
    const line = this.#line
    if (this.#header === undefined || this.#end !== undefined) throw this.#misplaced('a run begins there')
    this.#finishRun()
    const { runId, children } = this.#header
    const where = { line, runId: facts.runId }
    if (this.#runs.length > 0) this.#family.begin(facts.runId, where)
    else if (facts.runId !== runId) throw this.#misplaced(`the bundle is that of run ${runId}`)
    const { limits, folding } = this.#checks
    this.#run = new RunCheck({ limits, folding, children, family: this.#family }, facts.runId, { facts, line })
  }

  #takeEvent({ event }: Extract<BundleLine, { kind: 'event' }>): void {
    const line = this.#line
    if (line === 1 && this.#checks.plain) {
      const { limits, folding } = this.#checks
      this.#run = new RunCheck({ limits, folding, children: false, family: this.#family }, event.runId, { line: 0 })
    }
    if (this.#run === undefined || this.#end !== undefined) throw this.#misplaced('an event has no run there')
    this.#run.add(event, line)
    if (this.#header?.artifacts === true) this.#artifacts.refer(event, line)
    this.#events++
  }

  #finishRun(): void {
    if (this.#run === undefined) return
    const { runId, head, whole } = this.#run
    if (!whole) throw this.#misplaced(`the log of run ${runId} is said to go on`, { runId, seq: head + 1 })
    this.#artifacts.endRun()
    this.#runs.push(this.#run.finish())
    if (this.#runs.length === 1) this.#headLine = this.#run.lineOf(this.#run.head)
    this.#run = undefined
  }

  #takeEnd(end: BundleEnd): void {
    if (this.#header === undefined || this.#end !== undefined) throw this.#misplaced('a bundle ends there')
    this.#finishRun()
    if (this.#runs.length === 0) throw this.#misplaced('it holds no run')
    this.#end = end
    const digest = this.#digest.digest('hex')
    if (end.runs === this.#runs.length && end.events === this.#events && end.digest === digest) return
    throw this.#misplaced('it closes another bundle')
  }

  /** A signature that is not even that of its own key is wrong, whoever is trusted. */
  #checkedSignature(signature: BundleSignature): BundleSignature {
    const [first] = this.#runs
    if (this.#end === undefined || first === undefined) throw this.#misplaced('a signature comes last')
    const { runId, head, hash } = first
    const { digest } = this.#end
    const statement: Statement = { runId, end: { seq: head, hash }, digest, signedAt: signature.signedAt }
    if (isSignatureOf(statement, signature)) return signature
    const text = `the signature in line ${this.#line} does not fit the bundle; one of the two was changed`
    throw new EvidenceError('BAD_SIGNATURE', text, { line: this.#line })
  }

  #misplaced(why: string, where: { readonly runId?: string; readonly seq?: number } = {}): EvidenceError {
    const line = this.#line
    // What does not begin as a bundle is told apart from one that was changed.
    const code = this.#header === undefined && line === 1 ? 'NOT_A_BUNDLE' : 'INVALID_BUNDLE'
    return new EvidenceError(code, `line ${line} cannot stand there: ${why}; get the bundle again`, { line, ...where })
  }
}
