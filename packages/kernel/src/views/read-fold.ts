import type { Json, RunStatus, Store } from '@varve/store'
import { loadRun, type LoadOptions, type ReadingEnvironment } from '../driver/load-run.ts'
import { readLogEvent, type LogEvent } from '../log/log-event.ts'
import { checkedState } from '../run/snapshot-body.ts'
import { applyToSystem, emptySystem, statusOf, type System } from '../run/system.ts'

/** A run's state, rebuilt from its log. */
export interface ReplayedRun {
  readonly runId: string
  readonly state: Json
  readonly status: RunStatus
  /** Seq of the last event folded; 0 when there is none. */
  readonly head: number
  /** Hash of the log up to there. */
  readonly hash: string
}

/** Folds a run. There is no executor and no appender here, so nothing can happen. */
export async function readFold(
  env: ReadingEnvironment,
  runId: string,
  options: Omit<LoadOptions, 'check'>,
): Promise<ReplayedRun> {
  const { fold } = await loadRun(env, runId, { ...options, check: false })
  const { system, stepper } = fold
  const state = checkedState(stepper.hold()())
  return { runId, state, status: statusOf(system), head: system.end.seq, hash: system.end.hash }
}

/** Folds what every log says, without the code of its workflow; calls back with each event. */
export async function readSystem(
  store: Store,
  runId: string,
  onEvent: (event: LogEvent, system: System) => void = () => undefined,
): Promise<System> {
  const system = emptySystem(runId)
  for await (const stored of store.events.read(runId)) {
    const event = readLogEvent(system.end, stored)
    applyToSystem(system, event)
    onEvent(event, system)
  }
  return system
}
