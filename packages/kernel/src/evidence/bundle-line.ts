import { canonicalJson, isContentId, sha256, type ContentId, type StoredEvent } from '@varve/store'
import { z } from 'zod'
import { EvidenceError } from './evidence-error.ts'

/*
 * A bundle is UTF-8 text in lines, each ended by one LF and each in the one form that its content can have:
 *
 *   {"artifacts":true,"children":false,"evidence":1,…}            which run, whether artifacts and the runs it started are with it
 *   {"run":{"runId":"r","head":2,"hash":"…",…},"sha256":"…"}      what the run's row says of it, where its log ends
 *   {"runId":"r","seq":1,"v":1,"type":"RunStarted",…}             its events, as they are stored
 *   {"runId":"r","seq":2,…}
 *   {"artifact":{"bytes":"…","id":"sha256:…",…},"sha256":"…"}     what it refers to and no run before it does, in parts
 *                                                                 (further runs: a line of theirs, then their events)
 *   {"end":{"digest":"…","events":2,"runs":1},"sha256":"…"}       digest: sha256 of all lines before this one
 *   {"signature":{"publicKey":"…","signedAt":…,"value":"…"}}      if it is signed
 *
 * Lines of events are what the chain of hashes protects; every other line carries the hash of its own content, so that a
 * change is found in the line where it is. Only the lines of events, without anything around them, are a plain history.
 *
 * What belongs to a run besides its events has its place between the run's last event and the line after it, in lines of kinds
 * of their own. Format 1 has artifacts, in the order in which the log first refers to them; its readers refuse all others.
 */

/** Version of the format of bundles that this release writes, and the highest that it reads. */
const EVIDENCE_FORMAT = 1

const digits = z.string().regex(/^[0-9a-f]{64}$/)
const id = z.string().min(1).max(200)
const count = z.int().min(0)

/** Bytes of an artifact in one line; only its last part has fewer. */
export const PART_BYTES = 256 * 1024

const headerSchema = z.strictObject({
  evidence: z.literal(EVIDENCE_FORMAT),
  runId: id,
  children: z.boolean(),
  artifacts: z.boolean(),
})

const contentIdSchema = z.custom<ContentId>((value) => isContentId(value))

const partSchema = z.strictObject({
  id: contentIdSchema,
  mediaType: id,
  /** Bytes of the whole artifact, and how many of them came in the parts before. */
  size: count,
  offset: count,
  /** Base64. */
  bytes: z.string().refine((text) => Buffer.from(text, 'base64').toString('base64') === text),
})

const factsSchema = z.strictObject({
  runId: id,
  workflow: z.string(),
  version: z.string(),
  tags: z.array(z.string()),
  queue: z.string(),
  parent: z.string().optional(),
  createdAt: z.number(),
  head: z.int().min(1),
  hash: digits,
  forks: z.array(z.strictObject({ fromRunId: id, atSeq: z.int().min(1) })),
})

const endSchema = z.strictObject({ runs: z.int().min(1), events: count, digest: digits })

const signatureSchema = z.strictObject({ signedAt: z.number(), publicKey: z.string(), value: z.string() })

const eventSchema = z.strictObject({
  runId: id,
  seq: z.int().min(1),
  v: z.int().min(1),
  type: z.string(),
  at: z.number(),
  body: z.string(),
  hash: digits,
})

/** What a bundle says of a run besides its events. */
export type RunFacts = Readonly<z.infer<typeof factsSchema>>

/** A part of an artifact. `bytes` is base64. */
export type ArtifactPart = Readonly<z.infer<typeof partSchema>>

/** What closes a bundle. */
export type BundleEnd = Readonly<z.infer<typeof endSchema>>

/** Who vouches for a bundle. `publicKey` and `value` are base64url. */
export type BundleSignature = Readonly<z.infer<typeof signatureSchema>>

/** One line of a bundle. */
export type BundleLine =
  | { readonly kind: 'header'; readonly runId: string; readonly children: boolean; readonly artifacts: boolean }
  | { readonly kind: 'run'; readonly facts: RunFacts }
  | { readonly kind: 'event'; readonly event: StoredEvent }
  | { readonly kind: 'artifact'; readonly part: ArtifactPart }
  | { readonly kind: 'end'; readonly end: BundleEnd }
  | { readonly kind: 'signature'; readonly signature: BundleSignature }

/** The text of a line, its LF included. */
export function bundleText(line: BundleLine): string {
  return `${textOf(line)}\n`
}

function textOf(line: BundleLine): string {
  switch (line.kind) {
    case 'header': {
      const { runId, children, artifacts } = line
      return sealed({ evidence: EVIDENCE_FORMAT, runId, children, artifacts })
    }
    case 'run':
      return sealed({ run: line.facts })
    case 'artifact':
      return sealed({ artifact: line.part })
    case 'end':
      return sealed({ end: line.end })
    case 'signature':
      return canonicalJson({ signature: line.signature })
    case 'event': {
      const { runId, seq, v, type, at, body, hash } = line.event
      return JSON.stringify({ runId, seq, v, type, at, body, hash })
    }
  }
}

function sealed(content: object): string {
  return canonicalJson({ ...content, sha256: sha256(canonicalJson(content)) })
}

/**
 * Reads a line, without its LF.
 *
 * @throws EvidenceError `NOT_A_BUNDLE` (in the first line) | `INVALID_BUNDLE` | `NEWER_FORMAT`.
 */
export function parseBundleLine(text: string, line: number): BundleLine {
  const parsed = parseObject(text, line)
  if (typeof parsed['evidence'] === 'number' && parsed['evidence'] > EVIDENCE_FORMAT) {
    const found = `the bundle has format ${parsed['evidence']}, this release reads up to ${EVIDENCE_FORMAT}; upgrade`
    throw new EvidenceError('NEWER_FORMAT', found, { line })
  }
  const read = contentOf(parsed)
  if (read === undefined) {
    if (line === 1) throw notABundle()
    throw new EvidenceError('INVALID_BUNDLE', `line ${line} is no line of a bundle; get the bundle again`, { line })
  }
  // One content has one text: what is written otherwise was changed by somebody, or by something on the way.
  if (!isWrittenSo(read, text)) {
    const found = `line ${line} is not as it was written (a changed byte, another line end?); get the bundle again`
    throw new EvidenceError('INVALID_BUNDLE', found, { line, ...placeOf(read) })
  }
  return read
}

function isWrittenSo(line: BundleLine, text: string): boolean {
  try {
    return textOf(line) === text
  } catch {
    return false
  }
}

function contentOf({ sha256: _, ...content }: Record<string, unknown>): BundleLine | undefined {
  if ('seq' in content) {
    const event = eventSchema.safeParse(content)
    return event.success ? { kind: 'event', event: event.data } : undefined
  }
  const header = headerSchema.safeParse(content)
  if (header.success) {
    const { runId, children, artifacts } = header.data
    return { kind: 'header', runId, children, artifacts }
  }
  const [name = '', ...more] = Object.keys(content)
  if (more.length > 0) return undefined
  const facts = name === 'run' ? factsSchema.safeParse(content[name]) : undefined
  if (facts?.success) return { kind: 'run', facts: facts.data }
  const part = name === 'artifact' ? partSchema.safeParse(content[name]) : undefined
  if (part?.success) return { kind: 'artifact', part: part.data }
  const end = name === 'end' ? endSchema.safeParse(content[name]) : undefined
  if (end?.success) return { kind: 'end', end: end.data }
  const signature = name === 'signature' ? signatureSchema.safeParse(content[name]) : undefined
  return signature?.success ? { kind: 'signature', signature: signature.data } : undefined
}

function parseObject(text: string, line: number): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>
  } catch {
    // Falls through: no JSON at all is as wrong as JSON of another kind.
  }
  if (line === 1) throw notABundle()
  throw new EvidenceError('INVALID_BUNDLE', `line ${line} is no JSON object; get the bundle again`, { line })
}

function placeOf(line: BundleLine): { readonly runId?: string; readonly seq?: number } {
  if (line.kind === 'event') return { runId: line.event.runId, seq: line.event.seq }
  if (line.kind === 'header') return { runId: line.runId }
  return line.kind === 'run' ? { runId: line.facts.runId } : {}
}

/** What does not begin as a bundle does. */
function notABundle(): EvidenceError {
  const text = 'this is no bundle of evidence; give what `exportEvidence` wrote'
  return new EvidenceError('NOT_A_BUNDLE', text, { line: 1 })
}
