import { createHash, type KeyObject } from 'node:crypto'
import {
  checkOptions,
  isStoreError,
  shown,
  StoreError,
  type ArtifactStore,
  type ContentId,
  type RunRow,
  type Store,
  type StoredEvent,
  type NamesOf,
} from '@varve/store'
import { artifactsIn } from '../artifacts/artifacts-in.ts'
import { KernelError } from '../errors.ts'
import { checkNames } from '../known-names.ts'
import { eventSchemas } from '../log/event-data.ts'
import { bundleText, PART_BYTES, type ArtifactPart, type BundleLine, type RunFacts } from './bundle-line.ts'
import { checkSigner, signStatement, type EvidenceSigner } from './signature.ts'

/** What goes into a bundle of evidence. */
export interface ExportEvidenceOptions {
  /**
   * Signs the run's id, the end of its log, the whole bundle and the time: an Ed25519 private key of `node:crypto`, or whatever
   * signs by one. Without it a bundle shows that it is consistent, and no more.
   */
  readonly sign?: KeyObject | EvidenceSigner
  /** Also export the runs that it has started, and those that they have, as far as they are there. Default false. */
  readonly children?: boolean
  /** Whether the artifacts that the runs refer to go into the bundle, each once. Default `include`. */
  readonly artifacts?: 'include' | 'omit'
}

const NAMES: NamesOf<ExportEvidenceOptions> = {
  ...{ sign: true, children: true, artifacts: true },
}

/** Where a bundle comes from. */
export interface EvidenceOrigin {
  readonly store: Store
  readonly artifacts: ArtifactStore
  readonly row: RunRow
  /** Unix milliseconds. */
  readonly now: () => number
}

/**
 * Writes a bundle line by line. Each log is read twice, in pages: what it was forked from has to stand before its events, so
 * that a reader need not keep them.
 */
export async function* exportEvidence(
  { store, artifacts, row, now }: EvidenceOrigin,
  options: ExportEvidenceOptions,
): AsyncGenerator<string, void, undefined> {
  checkOptions('the options of exportEvidence', options)
  checkNames('exportEvidence', options, NAMES, 'INVALID_INPUT')
  const { sign, children = false, artifacts: which = 'include' } = options
  checkWhat(children, which)
  if (sign !== undefined) checkSigner(sign)
  const digest = createHash('sha256')
  const written = (line: BundleLine): string => {
    const text = bundleText(line)
    digest.update(text)
    return text
  }
  const { runId } = row
  const includes = which === 'include'
  const carried = new Set<ContentId>()
  yield written({ kind: 'header', runId, children, artifacts: includes })
  const seen = new Set([runId])
  const queue = [runId]
  let first: RunFacts | undefined
  let runs = 0
  let events = 0
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const found = next === runId ? row : await store.runs.find(next)
    // A child that was removed, or is not there yet.
    if (found === undefined) continue
    const { facts, started } = await survey(store, found)
    first ??= facts
    yield written({ kind: 'run', facts })
    const referred = new Map<ContentId, number>()
    for await (const event of readWhole(store, found)) {
      yield written({ kind: 'event', event })
      for (const id of includes ? artifactsIn(event.body) : []) if (!referred.has(id)) referred.set(id, event.seq)
    }
    for (const [id, seq] of referred) {
      if (carried.has(id)) continue
      carried.add(id)
      for await (const part of partsOf(artifacts, id, { runId: next, seq })) yield written({ kind: 'artifact', part })
    }
    runs++
    events += facts.head
    if (!children) break
    // A run that goes on as another one is followed where a parent waits for its end.
    const families = next === runId ? started.children : [...started.children, ...started.successors]
    for (const id of families) {
      if (!seen.has(id)) queue.push(id)
      seen.add(id)
    }
  }
  const end = { runs, events, digest: digest.digest('hex') }
  yield bundleText({ kind: 'end', end })
  if (sign === undefined || first === undefined) return
  const statement = { runId, end: { seq: first.head, hash: first.hash }, digest: end.digest, signedAt: now() }
  yield bundleText({ kind: 'signature', signature: await signStatement(statement, sign) })
}

/** Whoever misspells what goes into a bundle would hand on less, or one that fails its check. @throws KernelError `INVALID_INPUT`. */
function checkWhat(children: unknown, artifacts: unknown): void {
  if (typeof children !== 'boolean') {
    throw new KernelError('INVALID_INPUT', `children of a bundle must be true or false, got ${shown(children)}`)
  }
  if (artifacts !== 'include' && artifacts !== 'omit') {
    throw new KernelError('INVALID_INPUT', `artifacts of a bundle must be include or omit, got ${shown(artifacts)}`)
  }
}

/** An artifact in parts of one size. @throws StoreError `ARTIFACT_NOT_FOUND` | `ARTIFACT_CORRUPT`. */
async function* partsOf(
  artifacts: ArtifactStore,
  id: ContentId,
  where: { readonly runId: string; readonly seq: number },
): AsyncGenerator<ArtifactPart, void, undefined> {
  try {
    const stored = await artifacts.get(id)
    const { size, mediaType } = stored
    let offset = 0
    for await (const bytes of inParts(stored.stream())) {
      yield { id, mediaType, size, offset, bytes: Buffer.from(bytes).toString('base64') }
      offset += bytes.byteLength
    }
  } catch (cause) {
    if (!isStoreError(cause, 'ARTIFACT_NOT_FOUND') && !isStoreError(cause, 'ARTIFACT_CORRUPT')) throw cause
    const what = cause.code === 'ARTIFACT_NOT_FOUND' ? 'is not there' : 'is damaged'
    const text = `seq ${where.seq} of run ${where.runId} refers to ${id}, which ${what}; restore it, or export with artifacts: 'omit'`
    throw new StoreError(cause.code, text, { ...where, cause })
  }
}

/** The same bytes, cut anew: one content has one bundle. Nothing at all is one part. */
async function* inParts(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let begun: Uint8Array[] = []
  let length = 0
  let none = true
  for await (const chunk of stream) {
    for (let from = 0; from < chunk.byteLength;) {
      const piece = chunk.subarray(from, from + PART_BYTES - length)
      from += piece.byteLength
      begun.push(piece)
      length += piece.byteLength
      if (length < PART_BYTES) continue
      yield Buffer.concat(begun)
      none = false
      begun = []
      length = 0
    }
  }
  if (length > 0 || none) yield Buffer.concat(begun)
}

/** Runs that a log says it has started. */
interface Started {
  readonly children: string[]
  readonly successors: string[]
}

/** What has to be known of a log before it is written. Nothing is checked here: whoever reads the bundle will. */
async function survey(store: Store, row: RunRow): Promise<{ readonly facts: RunFacts; readonly started: Started }> {
  const { runId, workflow, version, tags, queue, parent, createdAt, head } = row
  const forks: RunFacts['forks'] = []
  const started: Started = { children: [], successors: [] }
  let hash = ''
  for await (const event of readWhole(store, row)) {
    hash = event.hash
    const forked = dataOf(event, 'RunForked')
    if (forked !== undefined) forks.push({ fromRunId: forked.fromRunId, atSeq: forked.atSeq })
    const child = dataOf(event, 'ChildStarted')
    if (child !== undefined) started.children.push(child.childRunId)
    const successor = dataOf(event, 'ContinuedAsNew')
    if (successor !== undefined) started.successors.push(successor.newRunId)
  }
  const named = { runId, workflow, version, tags: [...tags], queue, ...(parent !== undefined && { parent }) }
  return { facts: { ...named, createdAt, head, hash, forks }, started }
}

/** The log as the row knows it; what is appended meanwhile is left out. @throws KernelError `RUN_NOT_FOUND`. */
async function* readWhole(store: Store, { runId, head }: RunRow): AsyncGenerator<StoredEvent, void, undefined> {
  let read = 0
  for await (const event of store.events.read(runId, { to: head })) {
    yield event
    read++
  }
  if (read === head) return
  const text = `the log of run ${runId} has ${read} events where its row says ${head}; was it removed while it was exported?`
  throw new KernelError('RUN_NOT_FOUND', text, { runId })
}

type Announced = 'RunForked' | 'ChildStarted' | 'ContinuedAsNew'
type DataOf<T extends Announced> = ReturnType<(typeof eventSchemas)[T]['parse']>

/** Data of another shape is the reader's to find. */
function dataOf<T extends Announced>({ type, body }: StoredEvent, wanted: T): DataOf<T> | undefined {
  if (type !== wanted) return undefined
  try {
    return eventSchemas[wanted].parse(JSON.parse(body)) as DataOf<T>
  } catch {
    return undefined
  }
}
