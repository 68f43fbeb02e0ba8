import { genesis, type Json } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { readLogEvent, type LogDraft } from '../log/log-event.ts'
import { sealLog } from '../testing/sealed-log.ts'
import { ReusableResults } from './reuse.ts'

const requested = (key: string, input: Json, action = 'act'): LogDraft => ({
  type: 'ActionRequested',
  data: { key, action, input, effect: 'idempotent' },
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

    expect(find({ key: 'k', action: 'act', input })).toEqual({
      ...{ output: 'done', attempts: 2 },
      from: { runId: 'r', seq: 2 },
    })
    expect(find({ key: 'l', action: 'act', input })).toBeUndefined()
    expect(find({ key: 'k', action: 'other', input })).toBeUndefined()
    expect(find({ key: 'k', action: 'act', input: { a: [1, { b: 'x' }] } })).toBeUndefined()
  })

  test('stands behind the point, wherever its request does', () => {
    const log = [requested('k', 1), requested('l', 1), succeeded('k', 'early'), succeeded('l', 'late')]

    const { find } = resultsOf(3, log)

    expect(find({ key: 'k', action: 'act', input: 1 })).toBeUndefined()
    expect(find({ key: 'l', action: 'act', input: 1 })).toMatchObject({ output: 'late' })
  })

  test('is a success, also one that was itself reused', () => {
    const { find } = resultsOf(0, [requested('k', 1), failed('k'), reused('l', 1, 'again')])

    expect(find({ key: 'k', action: 'act', input: 1 })).toBeUndefined()
    expect(find({ key: 'l', action: 'act', input: 1 })).toEqual({
      ...{ output: 'again', attempts: 3 },
      from: { runId: 'r', seq: 3 },
    })
  })

  test('is that of the latest request of its key: a copied one that was open is asked for anew', () => {
    const { find } = resultsOf(0, [requested('k', 1), requested('k', 2), succeeded('k', 'two')])

    expect(find({ key: 'k', action: 'act', input: 1 })).toBeUndefined()
    expect(find({ key: 'k', action: 'act', input: 2 })).toMatchObject({ output: 'two' })
  })
})
