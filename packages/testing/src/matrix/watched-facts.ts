import { isDeepStrictEqual } from 'node:util'
import type { ActionContext } from '@varve/kernel'
import type { StoredEvent } from '@varve/store'
import type { SimulatedProcess } from '../simulated-process.ts'

/** What all processes of one case asked the outside world for, with `ctx.fact`. */
export interface FactRecord {
  /** How often each fact was read. */
  readonly reads: Map<string, number>
  /** What the logs hold now. */
  readonly recorded: Map<string, RecordedFact>
  /** One sentence for each reading of a fact that is recorded already. */
  readonly rereads: string[]
  /** One sentence for each fact that was given out as something that is not recorded. */
  readonly faults: string[]
}

interface RecordedFact {
  readonly runId: string
  /** Of a fact of scope `attempt`. */
  readonly actionKey?: string
  readonly value: unknown
}

/** Facts of which none was asked for. */
export function noFacts(): FactRecord {
  return { reads: new Map(), recorded: new Map(), rereads: [], faults: [] }
}

/** The context with every reading of a fact counted, and with a boundary before and after it. */
export function watchFacts(
  ctx: ActionContext,
  { passing }: Pick<SimulatedProcess, 'passing'>,
  { reads, recorded, rereads, faults }: FactRecord,
): ActionContext {
  const { runId, key: actionKey } = ctx
  const fact: ActionContext['fact'] = (key, read, options) => {
    const slot = slotOf(runId, key, options?.scope === 'attempt' ? actionKey : undefined)
    const reading = () =>
      passing('fact', async () => {
        if (recorded.has(slot)) rereads.push(`${actionKey} read the fact ${slot} again although it is recorded`)
        reads.set(slot, (reads.get(slot) ?? 0) + 1)
        return read()
      })
    // It gives what `read` gives, of which it is known that it is JSON.
    const given = ctx.fact(key, reading as typeof read, options).then((value) => {
      const known = recorded.get(slot)
      if (known === undefined) faults.push(`${actionKey} was given the fact ${slot} before it was durable`)
      else if (!isDeepStrictEqual(value, known.value))
        faults.push(`${actionKey} was given another fact ${slot} than is recorded`)
      return value
    })
    // As with the context itself, nobody has to wait for a fact.
    given.catch(() => undefined)
    return given
  }
  return { ...ctx, fact }
}

/** Takes note of what has become durable, or was forgotten, in this order. */
export function noteFacts(runId: string, events: readonly StoredEvent[], { recorded }: FactRecord): void {
  const forget = (isGone: (actionKey: string) => boolean): void => {
    for (const [slot, fact] of recorded) {
      if (fact.runId === runId && fact.actionKey !== undefined && isGone(fact.actionKey)) recorded.delete(slot)
    }
  }
  for (const { type, body } of events) {
    if (type === 'RunForked') forget(() => true)
    if (type !== 'FactRecorded' && type !== 'ActionAttemptFailed') continue
    const data = JSON.parse(body) as { key: string; scope?: string; actionKey: string; value: unknown }
    if (type === 'ActionAttemptFailed') forget((actionKey) => actionKey === data.key)
    else {
      const owner = data.scope === 'attempt' ? data.actionKey : undefined
      recorded.set(slotOf(runId, data.key, owner), {
        runId,
        ...(owner !== undefined && { actionKey: owner }),
        value: data.value,
      })
    }
  }
}

/** Run and key; of a fact of scope `attempt` its action as well. */
function slotOf(runId: string, key: string, actionKey: string | undefined): string {
  return JSON.stringify([runId, key, ...(actionKey === undefined ? [] : [actionKey])])
}
