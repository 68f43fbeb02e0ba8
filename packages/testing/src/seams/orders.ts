import { createKernel, defineWorkflow, type Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import { z } from 'zod'
import { interceptStore } from '../wrapped-store.ts'

/** What the world knows of orders, whatever becomes of the database. */
export interface OrdersLog {
  /** How often each run has paid. */
  readonly paid: Map<string, number>
  /** Of each run, the end of its log as its last acknowledged append made it: seq, and hash. */
  readonly acknowledged: Map<string, LogMark>
  /** Of each run, every seq at which an acknowledged append ended. */
  readonly ends: Map<string, Set<number>>
}

/** A place in a log. */
export interface LogMark {
  readonly seq: number
  readonly hash: string
}

/** The end of each run's log, as far as it was acknowledged. */
export type Acknowledged = ReadonlyMap<string, LogMark>

/** When a program was cut off. */
export interface Cut {
  /** What was acknowledged by then. */
  readonly acknowledged: Acknowledged
  /** What has to be there: in time that, too, of which the acknowledgement was under way. */
  expected: Acknowledged
  /** How often each run had paid. */
  readonly paid: ReadonlyMap<string, number>
}

/** Nothing happened yet. */
export function newOrdersLog(): OrdersLog {
  return { paid: new Map(), acknowledged: new Map(), ends: new Map() }
}

/** A cut at this moment. */
export function cutNow({ acknowledged, paid }: OrdersLog): Cut {
  const now = new Map(acknowledged)
  return { acknowledged: now, expected: now, paid: new Map(paid) }
}

/** Orders in flight together: each picks two parts at once and more one by one, pays at most once and is shipped. */
export async function placeOrders(store: Store, log: OrdersLog, count: number): Promise<void> {
  const noting = interceptStore(store, async (call, proceed) => {
    const answer = await proceed()
    if (call.name === 'events.append') noteAppend(log, call.args as Parameters<Store['events']['append']>)
    return answer
  })
  const order = orderWorkflow(log)
  await using kernel = createKernel({ store: noting, workflows: [order] })
  const runs = Array.from({ length: count }, (_, n) => kernel.start(order, n, { runId: `order-${n}` }))
  for (const { status } of await Promise.all(runs)) if (status !== 'completed') throw new Error(`an order ${status}`)
}

/**
 * Takes up what a power cut has left: looks whether it holds all that was acknowledged, in whole, and drives every run to its
 * end.
 *
 * @param log - Of the program that was cut off.
 * @returns one sentence for each thing that is wrong, and how many runs had gone further than was acknowledged.
 */
export async function outlive(
  store: Store,
  log: OrdersLog,
  cut: Cut,
): Promise<{ readonly faults: readonly string[]; readonly ahead: number }> {
  const logs = await logsOf(store)
  const faults = [...lostOf(logs, cut), ...tornOf(logs, log)]
  const paid = new Map(cut.paid)
  await using kernel = createKernel({ store, workflows: [orderWorkflow({ paid })] })
  faults.push(...(await Promise.all([...logs.keys()].map((runId) => endedAs(kernel, runId)))).flat())
  for (const [runId, times] of paid) if (times > 1) faults.push(`${runId} has paid ${times} times`)
  const ahead = [...logs].filter(([runId, { head }]) => head > (cut.acknowledged.get(runId)?.seq ?? 0))
  return { faults, ahead: ahead.length }
}

interface FoundLog {
  /** As the run's row says. */
  readonly head: number
  readonly hashes: readonly string[]
}

/** The logs of all runs. */
export async function logsOf({ runs, events }: Store): Promise<ReadonlyMap<string, FoundLog>> {
  const logs = new Map<string, FoundLog>()
  const { items } = await runs.list({}, { limit: 1000 })
  for (const { runId, head } of items) {
    const hashes: string[] = []
    for await (const { hash } of events.read(runId)) hashes.push(hash)
    logs.set(runId, { head, hashes })
  }
  return logs
}

/** What was acknowledged, and is not there. */
function lostOf(logs: ReadonlyMap<string, FoundLog>, { expected }: Cut): readonly string[] {
  const lost = [...expected].filter(([runId, { seq, hash }]) => logs.get(runId)?.hashes[seq - 1] !== hash)
  return lost.map(([runId, { seq }]) => `${runId} has lost what was acknowledged up to seq ${seq}`)
}

/** Logs of which their rows tell something else, or that end in the middle of what was one append. */
function tornOf(logs: ReadonlyMap<string, FoundLog>, { ends }: OrdersLog): readonly string[] {
  const torn = [...logs].filter(([runId, { head, hashes }]) => head !== hashes.length || !ends.get(runId)?.has(head))
  return torn.map(
    ([runId, { head, hashes }]) => `${runId} is at ${head}, has ${hashes.length} events: no end of an append`,
  )
}

/** Drives one run to its end, and settles its payment where nobody knows. */
async function endedAs(kernel: Kernel, runId: string): Promise<readonly string[]> {
  const verified = await kernel.verify(runId)
  if (!verified.ok) return [`the log of ${runId} does not verify: ${verified.message}`]
  let outcome = await kernel.run(runId)
  if (outcome.status === 'blocked') {
    outcome = await kernel.settle(runId, { key: 'pay', outcome: { status: 'succeeded', output: 'paid' } })
  }
  return outcome.status === 'completed' ? [] : [`${runId} is ${outcome.status}`]
}

function noteAppend(log: OrdersLog, [runId, events]: Parameters<Store['events']['append']>): void {
  const last = events.at(-1)
  if (last === undefined) return
  log.acknowledged.set(runId, last)
  const ends = log.ends.get(runId) ?? new Set()
  log.ends.set(runId, ends.add(last.seq))
}

function orderWorkflow({ paid }: Pick<OrdersLog, 'paid'>) {
  return defineWorkflow(
    {
      ...{ name: 'order', version: '1', input: z.int() },
      actions: {
        pick: { run: (part: number) => part },
        pay: {
          effect: 'at-most-once',
          run: async (amount: number, { runId }) => {
            paid.set(runId, (paid.get(runId) ?? 0) + 1)
            // Some at once, some after a turn of the event loop: so that not all batches are of the same runs.
            if (amount % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
            return 'paid'
          },
        },
        ship: { run: () => 'shipped' },
      },
    },
    {
      step: ({ input, results }, next) => {
        if (!results['part 1'] || !results['part 2'])
          return next.all([next.run('pick', 1, { key: 'part 1' }), next.run('pick', 2, { key: 'part 2' })])
        for (let part = 3; part <= input; part++) {
          if (!results[`part ${part}`]) return next.run('pick', part, { key: `part ${part}` })
        }
        if (!results['pay']) return next.run('pay', input, { key: 'pay' })
        return results['ship'] ? next.complete('done') : next.run('ship', null, { key: 'ship' })
      },
    },
  )
}
