import {
  checkId,
  isTerminal,
  StoreError,
  type InboxStore,
  type PostDraft,
  checkLimit,
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
      return [...(memory.find(runId)?.waiting.values() ?? [])].slice(0, options.limit)
    },

    rejected: async (runId, page) => {
      memory.checkOpen()
      checkLimit(page.limit)
      const start = page.cursor === undefined ? 0 : readCursor(page.cursor, isPosition)
      const rest = memory.find(runId)?.rejected.slice(start) ?? []
      return pageOf(
        rest,
        page.limit,
        (post) => post,
        () => start + page.limit,
      )
    },
  }
}

function keep(memory: Memory, runId: string, draft: PostDraft, maxWaiting: number): 'kept' | 'duplicate' {
  memory.checkOpen()
  const { id, type, body } = draft
  checkId('the id of the post', id)
  const run = memory.get(runId)
  if (run.waiting.has(id) || run.taken.has(id)) return 'duplicate'
  if (isTerminal(run.status)) throw new StoreError('RUN_TERMINAL', `run ${runId} has ended`, { runId })
  if (run.waiting.size >= maxWaiting) {
    const text = `${run.waiting.size} posts wait for run ${runId} and ${maxWaiting} may; drive the run first`
    throw new StoreError('INBOX_FULL', text, { runId, retryable: true })
  }

  const now = memory.now()
  memory.change(run, (draft) => {
    draft.waiting.set(id, Object.freeze({ id, type, body, postedAt: now }))
    draft.wakeAt = dueSince(draft, now)
    draft.problem = undefined
  })
  memory.notify({ runId, kind: 'posted', dueInMs: dueInMsOf(run, now) })
  return 'kept'
}

function isPosition(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
