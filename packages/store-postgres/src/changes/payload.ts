import type { StoreChange } from '@varve/store'
import type { RunChange } from '@varve/store-kysely'

/** The server takes fewer than 8000 bytes. */
const MOST_BYTES = 7999

/** What `payloadsOf` makes of a change: the same text for the same change. */
export function entryOf({ runId, kind, dueInMs }: RunChange): string {
  return JSON.stringify([runId, kind, dueInMs])
}

/** Stands for a change of nobody knows what: whoever reads it takes it for {@link anything}. */
export const anyRun = 'null'

/**
 * Packs entries into as few payloads as they fit into: `[sender, ...entries]`, JSON.
 *
 * @param sender - Tells the store that sends from all others.
 */
export function payloadsOf(sender: string, entries: readonly string[]): string[] {
  const begin = `[${JSON.stringify(sender)}`
  const payloads: string[] = []
  let payload = begin
  let bytes = Buffer.byteLength(begin)
  for (const entry of entries) {
    // With the comma before it; the bracket that closes the payload is the last byte.
    const more = Buffer.byteLength(entry) + 1
    if (payload !== begin && bytes + more + 1 > MOST_BYTES) {
      payloads.push(`${payload}]`)
      payload = begin
      bytes = Buffer.byteLength(begin)
    }
    payload += `,${entry}`
    bytes += more
  }
  return payload === begin ? payloads : [...payloads, `${payload}]`]
}

/** What may have changed when nobody can say what did: anything, and calls may have been lost. */
export const anything: readonly StoreChange[] = [
  { kind: 'posted', dueInMs: 0 },
  { kind: 'moved', dueInMs: 0 },
]

/** The changes that a payload tells of; none for one that we have sent, anything for one that we cannot read. */
export function changesIn(payload: string, self: string): readonly StoreChange[] {
  const told = parsed(payload)
  if (!Array.isArray(told)) return anything
  const [sender, ...entries] = told as readonly unknown[]
  if (sender === self) return []
  const changes = entries.map(changeOf)
  return changes.every((change) => change !== undefined) ? changes : anything
}

function changeOf(entry: unknown): StoreChange | undefined {
  if (!Array.isArray(entry)) return undefined
  const [runId, kind, dueInMs] = entry as readonly unknown[]
  if (typeof runId !== 'string' || (kind !== 'posted' && kind !== 'moved')) return undefined
  const isTime = dueInMs === null || (typeof dueInMs === 'number' && dueInMs >= 0)
  return isTime ? { runId, kind, dueInMs } : undefined
}

function parsed(payload: string): unknown {
  try {
    return JSON.parse(payload)
  } catch {
    return undefined
  }
}
