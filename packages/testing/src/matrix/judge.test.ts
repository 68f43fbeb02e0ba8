import { expect, test } from 'vitest'
import { judge } from './judge.ts'
import type { PlayedCase } from './play-case.ts'
import type { CalledAction } from './record.ts'

const PAY: CalledAction = { runId: 'r', key: 'pay', name: 'pay', effect: 'at-most-once', fenced: false, attempts: [1] }
const MAIL: CalledAction = { runId: 'r', key: 'mail', name: 'mail', effect: 'idempotent', fenced: false, attempts: [1] }

interface Played {
  readonly pay?: Partial<CalledAction> | null
  readonly mail?: Partial<CalledAction> | null
  readonly effects?: Readonly<Record<string, number>>
  readonly runs?: Readonly<Record<string, unknown>>
  readonly outside?: unknown
  readonly faults?: readonly string[]
  readonly early?: string[]
  readonly reads?: number
  readonly rereads?: string[]
}

/** A case in which everything went well, but for what is said. */
function played({
  pay,
  mail,
  effects = { p: 1, m: 1 },
  runs,
  outside,
  faults = [],
  early = [],
  reads = 1,
  rereads = [],
}: Played = {}): PlayedCase {
  const actions = new Map<string, CalledAction>()
  if (pay !== null) actions.set('p', { ...PAY, ...pay })
  if (mail !== null) actions.set('m', { ...MAIL, ...mail })
  const counted = Object.entries(effects).map(([key, times]) => [key, { times, atMostOnce: key === 'p' }] as const)
  const facts = { reads: new Map([['rate', reads]]), recorded: new Map(), rereads, faults: [] }
  return {
    record: { actions, effects: new Map(counted), early, unfinished: [], requested: new Set(), facts },
    runs: new Map(Object.entries(runs ?? { r: { status: 'completed', output: { a: 1, b: 2 } } })),
    ...{ outside, faults, after: [], struck: true },
  }
}

const allowed: readonly { title: string; crashed: boolean; is: Played }[] = [
  { title: 'nothing else happens', crashed: false, is: {} },
  {
    title: 'properties stand in another order',
    crashed: false,
    is: { runs: { r: { output: { b: 2, a: 1 }, status: 'completed' } } },
  },
  {
    title: 'a crash repeats an idempotent action',
    crashed: true,
    is: { mail: { attempts: [1, 2] }, effects: { p: 1, m: 2 } },
  },
  { title: 'a crash keeps an at-most-once action from happening', crashed: true, is: { pay: null, effects: { m: 1 } } },
  {
    title: 'a fenced action is called again before it took effect',
    crashed: true,
    is: { pay: { fenced: true, attempts: [1, 2] } },
  },
  { title: 'a crash has a fact read again before it is durable', crashed: true, is: { reads: 2 } },
  { title: 'a crash keeps a fact from being read', crashed: true, is: { reads: 0 } },
]

test.for(allowed)('it is right that $title', ({ crashed, is }) => {
  expect(judge(played(is), played(), crashed)).toEqual([])
})

const wrong: readonly { title: string; crashed: boolean; is: Played; because: RegExp }[] = [
  {
    title: 'an at-most-once action is called twice',
    crashed: true,
    is: { pay: { attempts: [1, 2] } },
    because: /attempts 1,2 were made, not 1/,
  },
  {
    title: 'what is at most once takes effect twice',
    crashed: true,
    is: { effects: { p: 2, m: 1 } },
    because: /took effect 2 times, not 1/,
  },
  {
    title: 'an attempt is made twice',
    crashed: true,
    is: { mail: { attempts: [1, 1] } },
    because: /attempt 1 of mail \(mail\) was made twice/,
  },
  {
    title: 'an action is repeated without a crash',
    crashed: false,
    is: { mail: { attempts: [2] } },
    because: /attempts 2 were made, not 1/,
  },
  {
    title: 'an effect is repeated without a crash',
    crashed: false,
    is: { effects: { p: 1, m: 2 } },
    because: /took effect 2 times/,
  },
  {
    title: 'an idempotent action is not carried out',
    crashed: true,
    is: { mail: null },
    because: /mail \(mail\) was never carried out/,
  },
  {
    title: 'an effect is missing',
    crashed: true,
    is: { effects: { p: 1 } },
    because: /nothing took effect under the key m/,
  },
  {
    title: 'an effect has another key',
    crashed: true,
    is: { effects: { p: 1, m: 1, m2: 1 } },
    because: /under the key m2, which only this case has/,
  },
  { title: 'a run is missing', crashed: true, is: { runs: {} }, because: /there is no run r/ },
  {
    title: 'a run ends otherwise',
    crashed: true,
    is: { runs: { r: { status: 'failed' } } },
    because: /run r came to \{ status: 'failed' \} instead of/,
  },
  {
    title: 'the outside is not the same',
    crashed: true,
    is: { outside: 20 },
    because: /the outside came to 20 instead of undefined/,
  },
  {
    title: 'something is left open',
    crashed: true,
    is: { faults: ['run r is still blocked'] },
    because: /run r is still blocked/,
  },
  {
    title: 'a handler is called early',
    crashed: true,
    is: { early: ['r: pay was called early'] },
    because: /called early/,
  },
  {
    title: 'a fact is read again without a crash',
    crashed: false,
    is: { reads: 2 },
    because: /the fact rate was read 2 times, not 1/,
  },
  {
    title: 'a recorded fact is read again',
    crashed: true,
    is: { rereads: ['rate was read again'] },
    because: /read again/,
  },
]

test.for(wrong)('it is wrong that $title', ({ crashed, is, because }) => {
  const faults = judge(played(is), played(), crashed)

  expect(faults).toHaveLength(1)
  expect(faults[0]).toMatch(because)
})
