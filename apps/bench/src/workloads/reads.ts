import { createKernel, defineWorkflow, type Kernel } from '@varve/kernel'
import { genesis, openEvent, sealEvent, type Store } from '@varve/store'
import { z } from 'zod'
import { countedStore } from '../work/counted-store.ts'

/** Does actions in sequence, then waits for one signal after the other. What an action returns makes its event a usual one. */
const waiting = defineWorkflow(
  {
    name: 'waiting',
    version: '1',
    input: z.strictObject({ steps: z.int() }),
    actions: { note: { effect: 'pure', run: () => ({ ok: true, text: 'x'.repeat(80) }) } },
    signals: { go: z.null() },
    initialState: ({ steps }) => ({ steps, done: 0, signals: 0 }),
  },
  {
    reduce: (state, event) => {
      if (event.type === 'ActionSucceeded') return { ...state, done: state.done + 1 }
      return event.type === 'SignalDelivered' ? { ...state, signals: state.signals + 1 } : state
    },
    step: ({ steps, done, signals }, next) =>
      done < steps
        ? next.run('note', null, { key: `step ${done + 1}` })
        : next.waitFor('go', { key: `go ${signals + 1}` }),
  },
)

/** Writes a blocked run of so many events, one more where the number is odd. @returns its id. */
export async function writeLongRun(store: Store, events: number): Promise<string> {
  const kernel = createKernel({ store, workflows: [waiting] })
  try {
    // Two events are its start and its wait, an action has two of its own.
    const { runId, status } = await kernel.start(waiting, { steps: Math.max(1, Math.ceil(events / 2) - 1) })
    if (status !== 'blocked') throw new Error(`the run of ${events} events is ${status}`)
    return runId
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}

/** Times of reading a long run in every way. */
export interface ReadTimes {
  /** That the run has, and each of the readings reads. */
  readonly events: number
  /** Reading alone: order and hash of each event checked, its data parsed. */
  readonly bareMs: number
  readonly replayMs: number
  /** The same bare loop, which also makes each event's data canonical again and hashes it. */
  readonly bareSealMs: number
  readonly verifyMs: number
}

/** How a run was opened. */
export interface Opening {
  /** From a signal to a kernel that has just been made until the run is blocked again. */
  readonly openingMs: number
  /** That this kernel read. */
  readonly openingEvents: number
}

/** Reads a run in every way, right after each other. */
export async function timeReads(store: Store, runId: string): Promise<ReadTimes> {
  const kernel = createKernel({ store, workflows: [waiting] })
  try {
    const { head: events } = await kernel.get(runId)
    const bareMs = await timed(() => readBare(store, runId, openEvent), events)
    const replayMs = await timed(async () => (await kernel.replay(runId)).head, events)
    const bareSealMs = await timed(() => readBare(store, runId, openAndSeal), events)
    const verifyMs = await timed(() => verify(kernel, runId), events)
    return { events, bareMs, replayMs, bareSealMs, verifyMs }
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}

async function timed(read: () => Promise<number>, events: number): Promise<number> {
  const startedAt = performance.now()
  const head = await read()
  const elapsed = performance.now() - startedAt
  if (head !== events) throw new Error(`${head} events were read of ${events}`)
  return elapsed
}

/** @returns the last seq. */
async function readBare(store: Store, runId: string, open: typeof openEvent): Promise<number> {
  let end = genesis(runId)
  for await (const event of store.events.read(runId)) end = open(end, event).stored
  return end.seq
}

const openAndSeal: typeof openEvent = (end, event) => {
  const { data } = openEvent(end, event)
  const sealed = sealEvent(event.runId, end, { type: event.type, data }, event.at)
  if (sealed.stored.hash !== event.hash) throw new Error(`seq ${event.seq} is sealed otherwise than before`)
  return sealed
}

async function verify(kernel: Kernel, runId: string): Promise<number> {
  const verification = await kernel.verify(runId)
  if (!verification.ok) throw new Error(verification.message)
  return verification.head
}

/** A kernel that has just been made takes a blocked run up and moves it by one signal. */
export async function timeOpening(store: Store, runId: string): Promise<Opening> {
  const { store: counted, calls } = countedStore(store)
  const startedAt = performance.now()
  const kernel = createKernel({ store: counted, workflows: [waiting] })
  try {
    const { status } = await kernel.signal(runId, { name: 'go', value: null })
    const openingMs = performance.now() - startedAt
    if (status !== 'blocked') throw new Error(`the run is ${status} after its signal`)
    return { openingMs, openingEvents: calls.eventsRead }
  } finally {
    await kernel[Symbol.asyncDispose]()
  }
}
