import { canonicalJson, sha256, type Json } from '@varve/store'
import type { ReadingEnvironment } from '../driver/load-run.ts'
import type { EventType } from '../log/event-data.ts'
import { readLogEvent } from '../log/log-event.ts'
import { applyEvent, type RunFold } from '../run/run-fold.ts'
import { checkedState } from '../run/snapshot-body.ts'
import { emptySystem } from '../run/system.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/** One event of a run, with the state it led to. */
export interface ExecutionLogEntry {
  readonly runId: string
  readonly seq: number
  readonly type: EventType
  /** Unix milliseconds. */
  readonly at: number
  readonly data: Json
  /** sha256 of the state's canonical JSON after this event, 64 hex digits. */
  readonly stateHash: string
  readonly stepId?: string
  readonly key?: string
}

/** Reads a run event by event; the states are folded, never run. */
export async function* readExecutionLog(
  env: ReadingEnvironment,
  runId: string,
  definition: Definition,
  initialState?: Json,
): AsyncGenerator<ExecutionLogEntry, void, undefined> {
  const fold: RunFold = { system: emptySystem(runId), stepper: definition.stepper(env.guard, initialState) }
  for await (const stored of env.store.events.read(runId)) {
    const event = readLogEvent(fold.system.end, stored)
    applyEvent(fold, event)
    const { seq, type, at } = event
    const data = event.data as unknown as Json
    const stateHash = sha256(canonicalJson(checkedState(fold.stepper.hold()())))
    yield { ...{ runId, seq, type, at, data, stateHash }, ...namesIn(event.data) }
  }
}

function namesIn(data: object): { readonly stepId?: string; readonly key?: string } {
  return {
    ...('stepId' in data && typeof data.stepId === 'string' && { stepId: data.stepId }),
    ...('key' in data && typeof data.key === 'string' && { key: data.key }),
  }
}
