import {
  checkId,
  pageOf,
  readCursor,
  shown,
  type Json,
  type Page,
  type PageRequest,
  type RunFilter,
  type RunRow,
  type Store,
} from '@varve/store'
import { KernelError } from '../errors.ts'
import { eventSchemas } from '../log/event-data.ts'

/** Which open interrupts to list; all given conditions must hold. */
export interface InterruptFilter extends Pick<
  RunFilter,
  'workflow' | 'tags' | 'parent' | 'createdFrom' | 'createdBefore'
> {
  /** Kind of the question, as the workflow names it. */
  readonly kind?: string
}

/** A question that waits for its answer. */
export interface OpenInterrupt {
  readonly runId: string
  /** What to answer to: `kernel.resume(runId, { key, … })`. */
  readonly key: string
  readonly kind: string
  /** What is asked. */
  readonly value: Json
  readonly workflow: string
  readonly version: string
  /** Since when it is open, Unix milliseconds. */
  readonly askedAt: number
  /** When it expires, Unix milliseconds. */
  readonly expiresAt?: number
  /** Seq of the event that asked. */
  readonly seq: number
}

/** Where a page ends: which rows to read again, and the last interrupt that was given. */
interface Position {
  readonly rows: string | null
  readonly createdAt: number
  readonly runId: string
  readonly seq: number
}

/** Rows that are read at a time. */
const ROWS = 100

/** Lists what blocked runs ask, those of the newest runs first; within a run in the order of asking. */
export async function listInterrupts(
  store: Store,
  { kind, ...runs }: InterruptFilter,
  { limit, cursor }: PageRequest,
): Promise<Page<OpenInterrupt>> {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1000) {
    throw new KernelError('INVALID_INPUT', `a page has 1-1000 interrupts, not ${shown(limit)}`)
  }
  if (kind !== undefined) checkId('the kind of an interrupt', kind)
  const after = cursor === undefined ? undefined : readCursor(cursor, isPosition)
  const found: { readonly item: OpenInterrupt; readonly position: Position }[] = []
  let rows = after?.rows ?? null
  for (;;) {
    const page = await store.runs.list(
      { ...runs, statuses: ['blocked'] },
      { limit: ROWS, ...(rows !== null && { cursor: rows }) },
    )
    for (const row of page.items) {
      if (after !== undefined && isBefore(row, after)) continue
      const { runId, createdAt } = row
      for (const item of await interruptsOf(store, row, kind)) {
        if (after?.runId === runId && item.seq <= after.seq) continue
        found.push({ item, position: { rows, createdAt, runId, seq: item.seq } })
      }
      // One more than the page holds says that there is a next one.
      if (found.length > limit)
        return pageOf(
          found,
          limit,
          ({ item }) => item,
          ({ position }) => position,
        )
    }
    if (page.next === undefined) return { items: found.map(({ item }) => item) }
    rows = page.next
  }
}

/** True for a row that the page before has passed: rows come newest first, then the greatest run id. */
function isBefore({ createdAt, runId }: RunRow, after: Position): boolean {
  return createdAt > after.createdAt || (createdAt === after.createdAt && runId > after.runId)
}

/** Looks back from the end of the log, in growing pieces, until every open question was seen. */
async function interruptsOf(store: Store, row: RunRow, kind: string | undefined): Promise<OpenInterrupt[]> {
  const { runId, workflow, version, head, blockedOn } = row
  const open = blockedOn.filter((item) => item.kind === 'interrupt' && (kind === undefined || item.name === kind))
  const keys = new Set(open.map(({ key }) => key))
  const found: OpenInterrupt[] = []
  let size = 32
  for (let to = head; to > 0 && keys.size > 0; to -= size, size = Math.min(2 * size, 1024)) {
    const asked: OpenInterrupt[] = []
    for await (const { type, seq, at, body } of store.events.read(runId, { from: Math.max(1, to - size + 1), to })) {
      if (type !== 'Interrupted') continue
      const { key, kind, value, fireAt } = eventSchemas.Interrupted.parse(JSON.parse(body))
      const expiry = fireAt !== undefined && { expiresAt: fireAt }
      asked.push({ runId, key, kind, value, workflow, version, askedAt: at, ...expiry, seq })
    }
    // Of a key that a fork asked anew, the later question is the one that is open.
    for (const one of asked.reverse()) if (keys.delete(one.key)) found.push(one)
  }
  return found.reverse()
}

function isPosition(value: unknown): value is Position {
  if (typeof value !== 'object' || value === null) return false
  const { rows, createdAt, runId, seq } = value as Partial<Record<keyof Position, unknown>>
  const numbers = typeof createdAt === 'number' && Number.isSafeInteger(seq)
  return numbers && typeof runId === 'string' && (rows === null || typeof rows === 'string')
}
