import {
  checkId,
  isTerminal,
  StoreError,
  type InboxStore,
  type PostDraft,
  checkLimit,
  checkWhole,
  pageOf,
  readCursor,
} from '@varve/store'
import type { Memory } from './memory.ts'
import { dueSince, dueInMsOf } from './run-record.ts'

/** The inboxes. */
export function memoryInbox(memory: Memory): InboxStore {
  return {
    post: async (runId, post, options) => keep(memory, runId, post, options.maxWaiting),

    list: async (runId, options) => {
      memory.checkOpen()
      checkLimit(options.limit)
      return Array.from(memory.find(runId)?.waiting.values() ?? [], ({ post }) => post).slice(0, options.limit)
    },

    rejected: async (runId, page) => {
      memory.checkOpen()
      checkLimit(page.limit)
      const after = page.cursor === undefined ? 0 : readCursor(page.cursor, isNumber)
      const rest = memory.find(runId)?.rejected.filter(({ number }) => number > after) ?? []
      return pageOf(
        rest,
        page.limit,
        ({ post, error }) => Object.freeze({ ...post, error }),
        ({ number }) => number,
      )
    },
  }
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
