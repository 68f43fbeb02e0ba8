import type { Store } from '@varve/store'
import type { LogEvent } from '../log/log-event.ts'
import { readSystem } from './read-fold.ts'

/** Where a run comes from, and what came of it. */
export interface Lineage {
  readonly runId: string
  /** The runs it was copied from, the eldest first: the last one is the one that it was forked from itself. */
  readonly forkedFrom: readonly ForkOrigin[]
  /** The run that goes on as this one. */
  readonly continuedFrom?: string
  /** The run that waits for this one, and the key under which it does. */
  readonly parent?: { readonly runId: string; readonly key: string }
  /** The run that this one goes on as. */
  readonly continuedAs?: string
  /** Runs that it has started, in order; in a fork also those of the copied events. */
  readonly children: readonly LineageChild[]
}

/** A run that another one was copied from. */
export interface ForkOrigin {
  readonly runId: string
  /** Last seq that was copied. */
  readonly atSeq: number
  /** True when the event at that seq was given other data. */
  readonly edited: boolean
}

/** A run that another one has started. */
export interface LineageChild {
  readonly key: string
  readonly runId: string
  readonly workflow: string
  /** Seq of the event that started it. */
  readonly seq: number
  /** What its parent knows of it; `dropped` when nobody waits for it any more. */
  readonly outcome: 'open' | 'completed' | 'failed' | 'canceled' | 'continued' | 'dropped'
}

/** Reads the whole log once, and checks it on the way. Nothing of the other runs is read. */
export async function readLineage(store: Store, runId: string): Promise<Lineage> {
  const forkedFrom: ForkOrigin[] = []
  const children: LineageChild[] = []
  const open = new Map<string, number>()
  const close = (key: string, outcome: LineageChild['outcome']): void => {
    const i = open.get(key)
    const child = i === undefined ? undefined : children[i]
    if (i === undefined || child === undefined) return
    children[i] = { ...child, outcome }
    open.delete(key)
  }
  const take = ({ type, data, seq }: LogEvent): void => {
    if (type === 'ChildStarted') {
      const { key, childRunId, workflow } = data
      open.set(key, children.push({ key, runId: childRunId, workflow, seq, outcome: 'open' }) - 1)
    }
    if (type === 'ChildCompleted') close(data.key, data.status)
    if (type === 'ItemDropped') close(data.key, 'dropped')
    if (type !== 'RunForked') return
    const { fromRunId, atSeq, edited = false } = data
    forkedFrom.push({ runId: fromRunId, atSeq, edited })
    // What was open when it was forked belongs to the other run.
    for (const key of [...open.keys()]) close(key, 'dropped')
  }
  const { started, terminal } = await readSystem(store, runId, take)
  return {
    ...{ runId, forkedFrom, children },
    ...(started?.previous !== undefined && { continuedFrom: started.previous }),
    ...(started?.parent && { parent: started.parent }),
    ...(terminal?.type === 'ContinuedAsNew' && { continuedAs: terminal.newRunId }),
  }
}
