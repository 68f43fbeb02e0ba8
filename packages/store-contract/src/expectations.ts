import {
  isStoreError,
  type Page,
  type PageRequest,
  type RunRow,
  type Store,
  type StoredEvent,
  type StoreErrorCode,
} from '@varve/store'
import { fail, ok } from 'node:assert/strict'

/** Fails unless the call is refused with this code. A call that throws before it returns a promise counts too. */
export async function rejectsWith(code: StoreErrorCode, call: () => unknown): Promise<void> {
  const refusal = await refusalOf(call)
  if (refusal === undefined) fail(`expected ${code}, but the call succeeded`)
  if (refusal !== code) fail(`expected ${code}, got ${refusal}`)
}

/** The code with which the call is refused; undefined when it succeeds. Anything but a StoreError fails the case. */
export async function refusalOf(call: () => unknown): Promise<StoreErrorCode | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    if (isStoreError(error)) return error.code
    throw error
  }
}

/** All events of a run, or those of a range. */
export async function readAll(
  store: Store,
  runId: string,
  range?: Parameters<Store['events']['read']>[1],
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  for await (const event of store.events.read(runId, range)) events.push(event)
  return events
}

/** The run's row; fails when there is none. */
export async function rowOf(store: Store, runId: string): Promise<RunRow> {
  const row = await store.runs.find(runId)
  ok(row !== undefined, `there is no run ${runId}`)
  return row
}

/** Everything that a store tells of a run, to compare before and after. */
export async function everythingOf(store: Store, runId: string): Promise<unknown> {
  return {
    row: await store.runs.find(runId),
    events: await readAll(store, runId),
    waiting: await store.inbox.list(runId, { limit: 1000 }),
    rejected: await store.inbox.rejected(runId, { limit: 1000 }),
    snapshot: await store.snapshots.latest(runId),
  }
}

/** `count` calls at once, numbered from 0. */
export async function atOnce<T>(count: number, call: (n: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => call(n)))
}

/** Follows `next` from the first page to the last. */
export async function allPages<T>(page: (request: Pick<PageRequest, 'cursor'>) => Promise<Page<T>>): Promise<T[][]> {
  const pages: T[][] = []
  let request: Pick<PageRequest, 'cursor'> = {}
  for (const _ of atMost(100)) {
    const { items, next } = await page(request)
    pages.push([...items])
    if (next === undefined) break
    request = { cursor: next }
  }
  return pages
}

/** Counts the rounds of a loop that a wrong store would never let end, and fails after the last. */
export function* atMost(rounds: number): Generator<number, never> {
  for (let round = 0; round < rounds; round++) yield round
  fail(`no end after ${rounds} rounds`)
}
