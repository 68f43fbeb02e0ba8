import {
  checkId,
  isTerminal,
  StoreError,
  type InboxStore,
  type Page,
  type PageRequest,
  type Post,
  type PostDraft,
  checkLimit,
  checkWhole,
  pageOf,
  readCursor,
} from '@varve/store'
import type { Memory } from './memory.ts'
import { dueSince, dueInMsOf } from './run-record.ts'

/** What the bodies of a page have at most. */
const PAGE_BYTES = 4 * 1024 * 1024

/** The inboxes. */
export function memoryInbox(memory: Memory): InboxStore {
  return {
    post: async (runId, post, options) => keep(memory, runId, post, options.maxWaiting),

    list: async (runId, page) => {
      memory.checkOpen()
      return postPage([...(memory.find(runId)?.waiting.values() ?? [])], page, ({ post }) => post)
    },

    rejected: async (runId, page) => {
      memory.checkOpen()
      const rejected = memory.find(runId)?.rejected ?? []
      return postPage(rejected, page, ({ post, error }) => Object.freeze({ ...post, error }))
    },
  }
}

function postPage<Kept extends { readonly post: Post; readonly number: number }, T>(
  posts: readonly Kept[],
  { limit, cursor }: PageRequest,
  item: (kept: Kept) => T,
): Page<T> {
  checkLimit(limit)
  const after = cursor === undefined ? 0 : readCursor(cursor, isNumber)
  const rest = posts.filter(({ number }) => number > after)
  const sizeOf = ({ post }: Kept): number => Buffer.byteLength(post.body)
  return pageOf(rest, limit, item, ({ number }) => number, { bytes: PAGE_BYTES, sizeOf })
}

function keep(memory: Memory, runId: string, draft: PostDraft, maxWaiting: number): 'kept' | 'duplicate' {
  memory.checkOpen()
  const { id, type, body } = draft
  checkId('the id of the post', id)
  checkWhole('maxWaiting', maxWaiting, 0)
  const run = memory.get(runId)
  if (run.waiting.has(id) || run.taken.has(id)) return 'duplicate'
  if (isTerminal(run.status)) throw new StoreError('RUN_TERMINAL', `run ${runId} has ended`, { runId })
  if (run.waiting.size >= maxWaiting) {
    const text = `${run.waiting.size} posts wait for run ${runId} and ${maxWaiting} may; drive the run first`
    throw new StoreError('INBOX_FULL', text, { runId, retryable: true })
  }

  const now = memory.now()
  memory.change(run, (draft) => {
    draft.posted += 1
    draft.waiting.set(id, { post: Object.freeze({ id, type, body, postedAt: now }), number: draft.posted })
    draft.wakeAt = dueSince(draft, now)
    draft.problem = undefined
  })
  memory.notify({ runId, kind: 'posted', dueInMs: dueInMsOf(run, now) })
  return 'kept'
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
