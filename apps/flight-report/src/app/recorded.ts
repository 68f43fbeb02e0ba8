import type { Kernel } from '@varve/kernel'
import type { ContentId } from '@varve/store'
import { z } from 'zod'
import { ApprovalRequest, isHourKey } from '../flight-report.ts'

/** What the log of a run holds so far. */
export interface Recorded {
  /** The file it reads; undefined before that is recorded. */
  readonly file: ContentId | undefined
  readonly hours: number
  /** What the editor is asked; undefined before the question is recorded. */
  readonly question: z.infer<typeof ApprovalRequest> | undefined
  readonly answered: boolean
}

const Loaded = z.object({ output: z.object({ hash: z.string().transform((hash) => hash as ContentId) }) })
const Question = z.object({ value: ApprovalRequest })

/** Reads it. Nothing is driven. */
export async function readRecorded(kernel: Kernel, runId: string): Promise<Recorded> {
  let recorded: Recorded = { file: undefined, hours: 0, question: undefined, answered: false }
  for await (const { type, key, data } of kernel.executionLog(runId)) {
    if (type === 'ActionSucceeded' && key === 'load') recorded = { ...recorded, file: Loaded.parse(data).output.hash }
    if (type === 'ActionSucceeded' && isHourKey(key)) recorded = { ...recorded, hours: recorded.hours + 1 }
    if (type === 'Interrupted') recorded = { ...recorded, question: Question.parse(data).value }
    if (type === 'Resumed') recorded = { ...recorded, answered: true }
  }
  return recorded
}
