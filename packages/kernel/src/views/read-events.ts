import { genesis, type Store } from '@varve/store'
import { readLogEvent, type LogEvent } from '../log/log-event.ts'

/** A run's committed events as they stand now, each checked against the one before. */
export async function* readEvents(store: Store, runId: string): AsyncGenerator<LogEvent, void, undefined> {
  let end = genesis(runId)
  for await (const stored of store.events.read(runId)) {
    const event = readLogEvent(end, stored)
    end = { seq: event.seq, hash: event.hash }
    yield event
  }
}
