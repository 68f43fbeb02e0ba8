import type { Kernel } from '@varve/kernel'
import type { Store } from '@varve/store'
import type { WrittenEffect } from '../testing/place.ts'
import { STEP_KEYS } from '../testing/workloads.ts'
import { runIdOf } from './load.ts'

/** What the runs of a chaos went through. */
export interface Suffered {
  abandoned: number
  inDoubt: number
  /** Effects of idempotent actions that happened more than once. */
  repeated: number
}

/** What is to be judged. */
export interface Evidence {
  readonly store: Store
  /** Has the code of the workflow. */
  readonly kernel: Kernel
  readonly runs: number
  readonly effects: readonly WrittenEffect[]
  /** Runs whose payment was said to have failed: it must not be there. */
  readonly unpaid: ReadonlySet<string>
}

const TERMINAL: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Canceled', 'ContinuedAsNew'])

/** Looks at every run when all is over. @returns what is wrong, and what they went through. */
export async function judge(evidence: Evidence): Promise<{ readonly faults: string[]; readonly suffered: Suffered }> {
  const suffered: Suffered = { abandoned: 0, inDoubt: 0, repeated: 0 }
  const byRun = Map.groupBy(evidence.effects, ({ runId }) => runId)
  const faults: string[] = []
  for (let n = 0; n < evidence.runs; n++) {
    const runId = runIdOf(n)
    const found = await judgeRun(evidence, runId, byRun.get(runId) ?? [], suffered)
    faults.push(...found.map((fault) => `${runId}: ${fault}`))
    byRun.delete(runId)
  }
  for (const runId of byRun.keys()) faults.push(`${runId}: there is no such run`)
  const { items } = await evidence.store.runs.list({ parked: true }, { limit: 100 })
  for (const { runId, problem } of items) faults.push(`${runId}: parked, ${problem?.code}`)
  return { faults, suffered }
}

async function judgeRun(
  { store, kernel, unpaid }: Evidence,
  runId: string,
  effects: readonly WrittenEffect[],
  suffered: Suffered,
): Promise<string[]> {
  const row = await store.runs.find(runId)
  if (row === undefined) return ['lost']
  const types: string[] = []
  for await (const { type } of store.events.read(runId)) types.push(type)
  const count = (type: string): number => types.filter((each) => each === type).length
  suffered.abandoned += count('ActionAttemptAbandoned')
  suffered.inDoubt += count('ActionInDoubt')
  const verified = await kernel.verify(runId)
  const ends = types.filter((type) => TERMINAL.has(type))
  const faults = [
    row.status !== 'completed' && `is ${row.status}`,
    row.lease !== undefined && `is leased until ${row.lease.until}`,
    row.waiting > 0 && `${row.waiting} posts wait`,
    !verified.ok && `is not verified: ${verified.message}`,
    verified.ok && verified.head !== row.head && `its row ends at ${row.head}, its log at ${verified.head}`,
    types.length !== row.head && `has ${types.length} events, its row says ${row.head}`,
    ends.join() !== 'Completed' && `its ends are ${ends.join() || 'none'}`,
    types.at(-1) !== 'Completed' && `its last event is ${types.at(-1)}`,
    count('SignalReceived') !== 1 && `took ${count('SignalReceived')} signals`,
    count('SignalDelivered') !== 1 && `was delivered ${count('SignalDelivered')} signals`,
    ...effectFaults(effects, row.token, unpaid.has(runId), suffered),
  ]
  return faults.filter((fault) => fault !== false)
}

function effectFaults(
  effects: readonly WrittenEffect[],
  token: number,
  isUnpaid: boolean,
  suffered: Suffered,
): (string | false)[] {
  return STEP_KEYS.filter((key) => key !== 'nap' && key !== 'go').flatMap((key) => {
    const own = effects.filter((effect) => effect.key === key)
    const isOnce = key === 'pay'
    const expected = isOnce && isUnpaid ? 0 : 1
    if (!isOnce) suffered.repeated += Math.max(0, own.length - 1)
    return [
      own.length < expected && `${key} did not happen`,
      isOnce && own.length > expected && `${key} happened ${own.length} times, not ${expected}`,
      new Set(own.map(({ idempotencyKey }) => idempotencyKey)).size > 1 && `${key} has several idempotency keys`,
      own.some((effect) => !(effect.token >= 1 && effect.token <= token)) && `${key} has a token that was never given`,
    ]
  })
}
