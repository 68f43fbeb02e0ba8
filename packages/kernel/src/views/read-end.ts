import type { RunRow, Store, StoredEvent } from '@varve/store'
import { KernelError } from '../errors.ts'
import { eventSchemas } from '../log/event-data.ts'
import type { TerminalEvent } from '../run/system.ts'

/** How a run ended, from the last event of its log alone. @throws KernelError `INVALID_LOG`. */
export async function readEnd(store: Store, { runId, head }: Pick<RunRow, 'runId' | 'head'>): Promise<TerminalEvent> {
  for await (const event of store.events.read(runId, { from: head, limit: 1 })) return terminalOf(event)
  throw new KernelError('INVALID_LOG', `run ${runId} has no event at its head, seq ${head}`, { runId, seq: head })
}

function terminalOf({ runId, seq, type, body }: StoredEvent): TerminalEvent {
  const data: unknown = JSON.parse(body)
  if (type === 'Completed') return { type, output: eventSchemas.Completed.parse(data).output }
  if (type === 'Failed') return { type, error: eventSchemas.Failed.parse(data).error }
  if (type === 'Canceled') return { type, reason: eventSchemas.Canceled.parse(data).reason }
  if (type === 'ContinuedAsNew') return { type, newRunId: eventSchemas.ContinuedAsNew.parse(data).newRunId }
  throw new KernelError('INVALID_LOG', `run ${runId} has ended, but its last event is ${type}`, { runId, seq })
}
