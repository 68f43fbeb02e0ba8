import { createHash, type Hash } from 'node:crypto'
import type { ContentId, StoredEvent } from '@varve/store'
import { artifactsIn } from '../artifacts/artifacts-in.ts'
import { PART_BYTES, type ArtifactPart } from './bundle-line.ts'
import { EvidenceError, type EvidenceWhere } from './evidence-error.ts'
import type { EvidenceLimits } from './limits.ts'

/** An artifact whose parts are being read. */
interface Begun {
  readonly first: ArtifactPart
  readonly where: EvidenceWhere
  readonly hash: Hash
  taken: number
}

/** Checks that a bundle holds what its logs refer to: each artifact once, behind the first run that refers to it. */
export class BundleArtifacts {
  readonly #limits: EvidenceLimits
  readonly #carried = new Set<ContentId>()
  /** What the run that is being read refers to and nobody before it, by where it first does. */
  #wanted = new Map<ContentId, EvidenceWhere>()
  #begun: Begun | undefined

  constructor(limits: EvidenceLimits) {
    this.#limits = limits
  }

  /** Takes an event. @throws EvidenceError `LIMIT_EXCEEDED`. */
  refer({ runId, seq, body }: StoredEvent, line: number): void {
    const where = { line, runId, seq }
    for (const id of artifactsIn(body)) {
      if (this.#carried.has(id) || this.#wanted.has(id)) continue
      this.#wanted.set(id, where)
      if (this.#carried.size + this.#wanted.size <= this.#limits.artifacts) continue
      const text = `the bundle refers to more than ${this.#limits.artifacts} artifacts; raise limits.artifacts if that is right`
      throw new EvidenceError('LIMIT_EXCEEDED', text, where)
    }
  }

  /** Takes a part of an artifact. @throws EvidenceError `INVALID_BUNDLE` | `ARTIFACT_MISSING` | `ARTIFACT_DIFFERS`. */
  take(part: ArtifactPart, where: EvidenceWhere): void {
    const begun = (this.#begun ??= this.#begin(part, where))
    const { first, hash } = begun
    const bytes = Buffer.from(part.bytes, 'base64')
    const same = part.id === first.id && part.size === first.size && part.mediaType === first.mediaType
    const follows = part.offset === begun.taken && bytes.length === Math.min(PART_BYTES, part.size - part.offset)
    if (!same || !follows)
      throw misplaced(where, `the artifact ${first.id} is said to go on after ${begun.taken} bytes`)
    hash.update(bytes)
    begun.taken += bytes.length
    if (begun.taken < first.size) return
    this.#begun = undefined
    this.#carried.add(first.id)
    if (`sha256:${hash.digest('hex')}` === first.id) return
    const text = `the artifact ${first.id} has other bytes than those that it is named by; they were changed`
    throw new EvidenceError('ARTIFACT_DIFFERS', text, begun.where)
  }

  /** Says that something else stands at a line. @throws EvidenceError `INVALID_BUNDLE` amid an artifact. */
  checkWhole(line: number): void {
    if (this.#begun === undefined) return
    const { first, taken } = this.#begun
    throw misplaced({ line }, `the artifact ${first.id} is said to go on after ${taken} bytes`)
  }

  /** Says that a run ends here. @throws EvidenceError `ARTIFACT_MISSING`. */
  endRun(): void {
    const [missing] = this.#wanted
    if (missing !== undefined) throw this.#missing(...missing)
  }

  /** They come in the order in which the log refers to them: one that is left out is noticed by the next. */
  #begin(part: ArtifactPart, where: EvidenceWhere): Begun {
    const [next] = this.#wanted
    if (!this.#wanted.has(part.id))
      throw misplaced(where, `the run refers to no artifact ${part.id} that is not there yet`)
    if (next !== undefined && next[0] !== part.id) throw this.#missing(...next)
    this.#wanted.delete(part.id)
    return { first: part, where, hash: createHash('sha256'), taken: 0 }
  }

  #missing(id: ContentId, where: EvidenceWhere): EvidenceError {
    const { runId, seq } = where
    const text = `seq ${seq} of run ${runId} refers to the artifact ${id}, which is not in the bundle; get the bundle again`
    return new EvidenceError('ARTIFACT_MISSING', text, where)
  }
}

function misplaced(where: EvidenceWhere, why: string): EvidenceError {
  return new EvidenceError(
    'INVALID_BUNDLE',
    `line ${where.line} cannot stand there: ${why}; get the bundle again`,
    where,
  )
}
