import {
  checkId,
  isTerminal,
  StoreError,
  type InboxStore,
  type Page,
  type PageRequest,
  type Post,
  type PostDraft,
  type RejectedPost,
  checkLimit,
  checkWhole,
  pageOf,
  readCursor,
} from '@varve/store'
import { runNotFound, settled, type StoreParts } from '../store-parts.ts'
import { inboxQueries, type InboxQueries, type PostRecord, type ReceiverRecord } from './inbox-queries.ts'

/** What the bodies of a page have at most. */
const PAGE_BYTES = 4 * 1024 * 1024

/** The inboxes. */
export function sqlInbox(parts: StoreParts): InboxStore {
  const queries = inboxQueries(parts.dialect)
  return {
    post: async (runId, draft, options) => keep(parts, queries, runId, draft, options.maxWaiting),
    list: async (runId, page) => readPage(parts, queries.waiting, { runId, page, item: postOf }),
    rejected: async (runId, page) => readPage(parts, queries.rejected, { runId, page, item: rejectedPostOf }),
  }
}

async function keep(
  parts: StoreParts,
  queries: InboxQueries,
  runId: string,
  { id, type, body }: PostDraft,
  maxWaiting: number,
): Promise<'kept' | 'duplicate'> {
  checkId('the run id', runId)
  checkId('the id of a post', id)
  checkId('the type of a post', type)
  checkWhole('maxWaiting', maxWaiting, 0)
  const args = { runId, id, type, body, maxWaiting, now: parts.now() }
  return settled(runId, 'INBOX_FULL', async () => {
    const kept = await parts.writes.post(args)
    if (kept !== undefined) {
      // Its driver takes it, or the release says that the run is due: no claimer need look.
      parts.changes?.committed({ runId, kind: 'posted', dueInMs: kept.leased === 1 ? null : 0 })
      return 'kept'
    }
    const receiver = await parts.executor.get(queries.receiver, { runId, id })
    if (receiver !== undefined && receiver.known > 0) {
      // While it was looked for the row was locked: a claim that passed it over meanwhile has to look again.
      parts.changes?.committed({ runId, kind: 'posted', dueInMs: 0 })
      return 'duplicate'
    }
    return postRefusal(runId, receiver, maxWaiting)
  })
}

function postRefusal(runId: string, receiver: ReceiverRecord | undefined, maxWaiting: number): StoreError | undefined {
  if (receiver === undefined) return runNotFound(runId)
  if (isTerminal(receiver.status)) return new StoreError('RUN_TERMINAL', `run ${runId} has ended`, { runId })
  if (receiver.waiting < maxWaiting) return undefined
  const text = `${receiver.waiting} posts wait for run ${runId} and ${maxWaiting} may; drive the run first`
  return new StoreError('INBOX_FULL', text, { runId, retryable: true })
}

interface AskedPage<T> {
  readonly runId: string
  readonly page: PageRequest
  readonly item: (record: PostRecord) => T
}

async function readPage<T>(
  { executor }: StoreParts,
  query: InboxQueries['waiting'],
  { runId, page: { limit, cursor }, item }: AskedPage<T>,
): Promise<Page<T>> {
  checkId('the run id', runId)
  checkLimit(limit)
  const after = cursor === undefined ? 0 : readCursor(cursor, isNumber)
  const found = await executor.all(query, { runId, after, limit: limit + 1, bytes: PAGE_BYTES })
  const sizeOf = ({ body }: PostRecord): number => Buffer.byteLength(body)
  return pageOf(found, limit, item, ({ number }) => number, { bytes: PAGE_BYTES, sizeOf })
}

function rejectedPostOf(record: PostRecord): RejectedPost {
  return { ...postOf(record), error: record.error ?? 'null' }
}

function postOf({ id, type, body, posted_at: postedAt }: PostRecord): Post {
  return { id, type, body, postedAt }
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value)
}
