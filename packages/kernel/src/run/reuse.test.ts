import { genesis, type Json } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { readLogEvent, type LogDraft } from '../log/log-event.ts'
import { sealLog } from '../testing/sealed-log.ts'
import { ReusableResults, type ReuseRequest } from './reuse.ts'
import type { Effect } from '../workflow/action.ts'

const requested = (key: string, input: Json, effect: Effect = 'idempotent'): LogDraft => ({
  type: 'ActionRequested',
  data: { key, action: 'act', input, effect },
})
const dropped = (key: string, outcome: 'not started' | 'unknown'): LogDraft => ({
  type: 'ItemDropped',
  data: { key, outcome },
})
const succeeded = (key: string, output: Json, attempts = 1): LogDraft => ({
  type: 'ActionSucceeded',
  data: { key, output, attempts },
})
const failed = (key: string): LogDraft => ({
  type: 'ActionFailed',
  data: { key, error: { message: 'no', kind: 'permanent' }, attempts: 1 },
})
const reused = (key: string, input: Json, output: Json): LogDraft => ({
  type: 'ActionReused',
  data: { key, action: 'act', input, output, attempts: 3, from: { runId: 'x', seq: 9 } },
})

const ask = (key: string, input: Json, more: Partial<ReuseRequest> = {}): ReuseRequest => ({
  ...{ key, action: 'act', input, effect: 'idempotent' },
  ...more,
})

function resultsOf(after: number, drafts: readonly LogDraft[]): ReusableResults {
  const results = new ReusableResults('r', after)
  let end = genesis('r')
  for (const stored of sealLog('r', drafts)) {
    const event = readLogEvent(end, stored)
    end = { seq: event.seq, hash: event.hash }
    results.add(event)
  }
  return results
}

describe('a reusable result', () => {
  const input = { a: [1, { b: 'x'.repeat(100) }] }

  test('is that of a request equal in key, action and input, and says where it stands', () => {
    const { find } = resultsOf(0, [requested('k', input), succeeded('k', 'done', 2)])

    expect(find(ask('k', input))).toEqual({
      ...{ output: 'done', attempts: 2 },
      from: { runId: 'r', seq: 2 },
    })
    expect(find(ask('l', input))).toBeUndefined()
    expect(find(ask('k', input, { action: 'other' }))).toBeUndefined()
    expect(find(ask('k', { a: [1, { b: 'x' }] }))).toBeUndefined()
  })

  test('stands behind the point, wherever its request does', () => {
    const log = [requested('k', 1), requested('l', 1), succeeded('k', 'early'), succeeded('l', 'late')]

    const { find } = resultsOf(3, log)

    expect(find(ask('k', 1))).toBeUndefined()
    expect(find(ask('l', 1))).toMatchObject({ output: 'late' })
  })

  test('is a success, also one that was itself reused', () => {
    const { find } = resultsOf(0, [requested('k', 1), failed('k'), reused('l', 1, 'again')])

    expect(find(ask('k', 1))).toBeUndefined()
    expect(find(ask('l', 1))).toEqual({
      ...{ output: 'again', attempts: 3 },
      from: { runId: 'r', seq: 3 },
    })
  })

  test('is that of the latest request of its key: a copied one that was open is asked for anew', () => {
    const { find } = resultsOf(0, [requested('k', 1), requested('k', 2), succeeded('k', 'two')])

    expect(find(ask('k', 1))).toBeUndefined()
    expect(find(ask('k', 2))).toMatchObject({ output: 'two' })
  })
})

describe('a request is in doubt', () => {
  const once = { effect: 'at-most-once' } as const
  const asked = requested('k', 1, 'at-most-once')

  test('while the run has made it, too, and nothing is known to have come of it', () => {
    expect(resultsOf(0, [asked]).isInDoubt(ask('k', 1, once))).toBe(true)
    expect(resultsOf(0, [asked, dropped('k', 'unknown')]).isInDoubt(ask('k', 1, once))).toBe(true)
  })

  test('where either of them must not happen twice', () => {
    expect(resultsOf(0, [asked]).isInDoubt(ask('k', 1))).toBe(true)
    expect(resultsOf(0, [requested('k', 1)]).isInDoubt(ask('k', 1, once))).toBe(true)
    expect(resultsOf(0, [requested('k', 1)]).isInDoubt(ask('k', 1))).toBe(false)
  })

  test('not once it is known not to have happened, nor for another action or input', () => {
    expect(resultsOf(0, [asked, failed('k')]).isInDoubt(ask('k', 1, once))).toBe(false)
    expect(resultsOf(0, [asked, dropped('k', 'not started')]).isInDoubt(ask('k', 1, once))).toBe(false)
    expect(resultsOf(0, [asked]).isInDoubt(ask('k', 2, once))).toBe(false)
    expect(resultsOf(0, [asked]).isInDoubt(ask('k', 1, { ...once, action: 'other' }))).toBe(false)
    expect(resultsOf(0, [asked]).isInDoubt(ask('l', 1, once))).toBe(false)
  })
})
