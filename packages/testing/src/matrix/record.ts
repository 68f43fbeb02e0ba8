import { AsyncLocalStorage } from 'node:async_hooks'
import type { ActionContext, Kernel, Workflow } from '@varve/kernel'
import type { Store } from '@varve/store'
import { SimulatedCrash } from '../boundaries.ts'
import type { SimulatedProcess } from '../simulated-process.ts'
import { interceptStore } from '../wrapped-store.ts'
import type { Probe } from './scenario.ts'
import { noFacts, noteFacts, watchFacts, type FactRecord } from './watched-facts.ts'

/** An action that was carried out at least in part. */
export interface CalledAction {
  readonly runId: string
  readonly key: string
  readonly name: string
  readonly effect: 'pure' | 'idempotent' | 'at-most-once'
  readonly fenced: boolean
  /** The attempts whose handler was called, in order. */
  readonly attempts: number[]
}

/** What took effect outside under one key. */
export interface CountedEffect {
  times: number
  readonly atMostOnce: boolean
}

/** What all processes of one case did. */
export interface CaseRecord {
  /** By idempotency key. */
  readonly actions: Map<string, CalledAction>
  readonly effects: Map<string, CountedEffect>
  /** One sentence per call of a handler that was not yet due. */
  readonly early: string[]
  /** One sentence per effect that its handler did not wait for. */
  readonly unfinished: string[]
  /** Actions whose requests are durable. */
  readonly requested: Set<string>
  readonly facts: FactRecord
}

/** An empty record. */
export function newRecord(): CaseRecord {
  return { actions: new Map(), effects: new Map(), early: [], unfinished: [], requested: new Set(), facts: noFacts() }
}

/** A call of a handler, while it goes on. */
interface Call {
  readonly action: CalledAction
  /** Keys of the effects that have begun and are not over. */
  readonly underWay: Set<string>
}

const calls = new AsyncLocalStorage<Call>()

/** The probe of one process. */
export function probeOf({ passing }: Pick<SimulatedProcess, 'passing'>, { effects }: CaseRecord): Probe {
  const counted = (key: string): CountedEffect => {
    const known = effects.get(key) ?? { times: 0, atMostOnce: calls.getStore()?.action.effect === 'at-most-once' }
    effects.set(key, known)
    return known
  }
  return {
    effect: <T>(key: string, act?: () => T | Promise<T>) => {
      const underWay = calls.getStore()?.underWay
      underWay?.add(key)
      const done = passing('effect', () => {
        counted(key).times++
        return act?.() as T
      }).finally(() => underWay?.delete(key))
      return leftByTheDead(done)
    },
  }
}

/** Whoever did not wait for something died with its process: that nobody hears of it must not end the program of the test. */
function leftByTheDead<T>(done: Promise<T>): Promise<T> {
  const heard: Promise<T> = done.catch((error: unknown) => {
    if (error instanceof SimulatedCrash) heard.catch(() => undefined)
    throw error
  })
  return heard
}

/** A workflow with every handler recorded, and with a boundary before and after it. */
export function recorded<W extends Workflow>(
  workflow: W,
  { passing }: Pick<SimulatedProcess, 'passing'>,
  record: CaseRecord,
): W {
  const { definition } = workflow
  const actions = Object.entries(definition.actions).map(([name, action]) => {
    const run = async (input: never, ctx: ActionContext): Promise<unknown> => {
      // Looked up at once: a moment later the request may have become durable.
      const isDue = record.requested.has(nameOf(ctx.runId, ctx.key))
      return passing('action', async () => {
        const { effect = 'idempotent', fenced = false } = action
        const called = calledAction(record, ctx, { name, effect, fenced })
        called.attempts.push(ctx.attempt)
        if (!isDue) record.early.push(`${ctx.runId}: ${ctx.key} was called before its request was durable`)
        const underWay = new Set<string>()
        const output: unknown = await calls.run({ action: called, underWay }, () =>
          action.run(input, watchFacts(ctx, { passing }, record.facts)),
        )
        const unfinished = [...underWay].map((key) => `${ctx.runId}: ${ctx.key} (${name}) ${endedBefore(key)}`)
        record.unfinished.push(...unfinished)
        return output
      })
    }
    return [name, { ...action, run }] as const
  })
  return { ...workflow, definition: { ...definition, actions: Object.fromEntries(actions) } }
}

/** A kernel that records the handlers of what is registered with it later, too. */
export function recordedKernel(kernel: Kernel, record: <W extends Workflow>(workflow: W) => W): Kernel {
  const known = new Map<Workflow, Workflow>()
  return {
    ...kernel,
    register: (workflow) => {
      const watched = known.get(workflow) ?? record(workflow)
      kernel.register(watched)
      known.set(workflow, watched)
    },
    start: async (workflow, input, options) =>
      kernel.start((known.get(workflow) ?? workflow) as typeof workflow, input, options),
  }
}

function calledAction(
  { actions }: CaseRecord,
  { runId, key, idempotencyKey }: ActionContext,
  action: Pick<CalledAction, 'name' | 'effect' | 'fenced'>,
): CalledAction {
  const called = actions.get(idempotencyKey) ?? { runId, key, ...action, attempts: [] }
  actions.set(idempotencyKey, called)
  return called
}

/** The store, with a note of every action that its logs ask for, and of every fact, once they hold it. */
export function observed(store: Store, { requested, facts }: CaseRecord): Store {
  const observing = interceptStore(store, async ({ name, args }, proceed) => {
    const answer = await proceed()
    if (name !== 'events.append') return answer
    const [runId, events] = args as Parameters<Store['events']['append']>
    noteFacts(runId, events, facts)
    for (const { type, body } of events) {
      if (type === 'ActionRequested') requested.add(nameOf(runId, (JSON.parse(body) as { readonly key: string }).key))
    }
    return answer
  })
  return { ...observing, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

function endedBefore(key: string): string {
  return `ended before what it does under the key ${key}: a crash then leaves it undone; wait for it`
}

function nameOf(runId: string, key: string): string {
  return JSON.stringify([runId, key])
}
