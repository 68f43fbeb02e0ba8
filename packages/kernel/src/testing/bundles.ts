import { createHash } from 'node:crypto'
import { genesis, sealEvent, type StoredEvent } from '@varve/store'
import {
  bundleText,
  parseBundleLine,
  type ArtifactPart,
  type BundleLine,
  type RunFacts,
} from '../evidence/bundle-line.ts'
import type { ExportEvidenceOptions } from '../evidence/export-evidence.ts'
import type { Kernel } from '../kernel/kernel.ts'

/** A run's bundle as one text. */
export async function bundleOf(kernel: Kernel, runId: string, options?: ExportEvidenceOptions): Promise<string> {
  return (await Array.fromAsync(kernel.exportEvidence(runId, options))).join('')
}

/** The lines of a text, each with its LF. */
export function linesOf(text: string): string[] {
  return text.split(/(?<=\n)/)
}

/** What somebody changes who knows the format and makes everything fit again. */
export interface Forgery {
  /** Other data, type or time of an event; nothing to leave it out. */
  readonly event?: (event: StoredEvent, data: Record<string, unknown>) => Partial<Draft> | undefined
  readonly facts?: (facts: RunFacts) => Partial<RunFacts>
  /** Other contents of a part of an artifact; nothing to leave it out. */
  readonly part?: (part: ArtifactPart) => Partial<ArtifactPart> | undefined
}

interface Draft {
  readonly type: string
  readonly data: unknown
  readonly at: number
}

/** A bundle with other contents whose lines, chains and digest all fit; without a signature. */
export function forge(text: string, { event = () => ({}), facts = () => ({}), part = () => ({}) }: Forgery): string {
  const lines = linesOf(text).map((line, i) => parseBundleLine(line.trimEnd(), i + 1))
  const forged: BundleLine[] = []
  for (const [i, line] of lines.entries()) {
    if (line.kind === 'header') forged.push(line)
    const changed = line.kind === 'artifact' ? part(line.part) : undefined
    if (line.kind === 'artifact' && changed) forged.push({ ...line, part: { ...line.part, ...changed } })
    if (line.kind !== 'run') continue
    const after = lines.slice(i + 1)
    const until = after.findIndex(({ kind }) => kind !== 'event')
    const log = after.slice(0, until).flatMap((each) => (each.kind === 'event' ? [each.event] : []))
    const resealed = reseal(line.facts.runId, log, event)
    const { seq = 1, hash = '0'.repeat(64) } = resealed.at(-1) ?? {}
    forged.push({ kind: 'run', facts: { ...line.facts, head: seq, hash, ...facts(line.facts) } })
    forged.push(...resealed.map((each) => ({ kind: 'event' as const, event: each })))
  }
  return closed(forged)
}

function reseal(runId: string, log: readonly StoredEvent[], edit: NonNullable<Forgery['event']>): StoredEvent[] {
  let end = genesis(runId)
  return log.flatMap((event) => {
    const data = JSON.parse(event.body) as Record<string, unknown>
    const edited = edit(event, data)
    if (edited === undefined) return []
    const draft = { type: event.type, data, at: event.at, ...edited }
    const { stored } = sealEvent(runId, end, draft, draft.at)
    end = { seq: stored.seq, hash: stored.hash }
    return [stored]
  })
}

/** Lines with the one that closes them. */
export function closed(lines: readonly BundleLine[]): string {
  const text = lines.map(bundleText).join('')
  const count = (kind: BundleLine['kind']): number => lines.filter((line) => line.kind === kind).length
  const digest = createHash('sha256').update(text).digest('hex')
  return text + bundleText({ kind: 'end', end: { runs: count('run'), events: count('event'), digest } })
}
