import type { ItemRequest } from '@varve/kernel/stepper'
import type { Json } from '@varve/store'

/** What a task is of its state. */
export type Phase = 'run' | 'items' | 'item' | 'page' | 'question' | 'ask' | 'start' | 'child' | 'entries'

/** One item of a run that is due or was. A state's last one has the state's id as its key: its output is the state's. */
export interface Task {
  readonly key: string
  /** Position of its state. */
  readonly node: number
  readonly phase: Phase
  /** True for an execution; what only waits takes no room from others. */
  readonly executes: boolean
  readonly request: () => ItemRequest
}

/** A run of a state's code. */
export function runTask(node: number, id: string, key: string, input: () => object): Task {
  return {
    ...{ node, key, executes: true, phase: key === id ? 'run' : 'item' },
    request: () => ({ kind: 'action', key, action: id, input: input() }),
  }
}

/** Something that the engine does for a state. */
export function partTask(node: number, id: string, phase: Phase, key: string, input: () => object): Task {
  const action = partAction(id)
  return { node, key, phase, executes: true, request: () => ({ kind: 'action', key, action, input: input() }) }
}

/** The action that does the engine's part of a state. */
export function partAction(id: string): string {
  return `${id}:part`
}

/** A question to a person. */
export function askTask(node: number, id: string, value: Json, expiresInMs: number | undefined): Task {
  const key = `${id}:ask`
  const expiry = expiresInMs !== undefined && { expiresInMs }
  return {
    ...{ node, key, phase: 'ask', executes: false },
    request: () => ({ kind: 'interrupt', key, interrupt: id, value, ...expiry }),
  }
}

/** A run of another plan. */
export function childTask(node: number, id: string, workflow: string, version: string, input: Json): Task {
  const key = `${id}:child`
  return {
    ...{ node, key, phase: 'child', executes: false },
    request: () => ({ kind: 'child', key, workflow, version, input }),
  }
}
