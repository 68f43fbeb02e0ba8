import { genesis } from '@varve/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Counts } from '../log/event-data.ts'
import { readLogEvent, type LogDraft } from '../log/log-event.ts'
import { sealLog } from '../testing/sealed-log.ts'
import { spentAt, spentWhenDeciding } from './counts.ts'
import { applyToSystem, emptySystem, type System } from './system.ts'

const AT = 1000

function systemOf(drafts: readonly LogDraft[], times: readonly number[] = []): System {
  const system = emptySystem('run-1')
  for (const [i, stored] of sealLog('run-1', drafts, AT).entries()) {
    const event = readLogEvent(i === 0 ? genesis('run-1') : system.end, stored)
    applyToSystem(system, { ...event, at: times[i] ?? AT })
  }
  return system
}

const countsOf = (...drafts: readonly LogDraft[]): Counts => systemOf(drafts).counts

const startedData = { workflow: 'w', version: '1', input: null, seed: 's', tags: [], queue: 'q' }
const started: LogDraft = { type: 'RunStarted', data: startedData }
const error = { message: 'x', kind: 'transient' } as const
const requested = (key: string): LogDraft => ({
  type: 'ActionRequested',
  data: { key, action: 'act', input: null, effect: 'idempotent' },
})
const failedOnce = (key: string, attempt = 1, usage?: Counts['usage']): LogDraft => ({
  type: 'ActionAttemptFailed',
  data: { key, attempt, error, retryAt: 5, ...(usage && { usage }) },
})
const begun = (key: string, attempt: number): LogDraft => ({ type: 'ActionAttemptStarted', data: { key, attempt } })
const abandoned = (key: string, attempt = 1): LogDraft => ({ type: 'ActionAttemptAbandoned', data: { key, attempt } })
const succeeded = (key: string, usage?: Counts['usage']): LogDraft => ({
  type: 'ActionSucceeded',
  data: { key, output: 1, attempts: 1, ...(usage && { usage }) },
})
const failed = (key: string, usage: Counts['usage']): LogDraft => ({
  type: 'ActionFailed',
  data: { key, error, attempts: 1, usage },
})
const denied = (key: string): LogDraft => ({
  type: 'ActionDenied',
  data: { key, action: 'act', input: null, policy: 'p', reason: 'r' },
})
const forked: LogDraft = { type: 'RunForked', data: { fromRunId: 'x', atSeq: 1, fromHash: 'h' } }

test('a request is one, and its first attempt, too; a denied one is none', () => {
  expect(countsOf(started, requested('a'), requested('b'), denied('c'))).toMatchObject({ requests: 2, attempts: 2 })
})

test('a request whose result is reused counts, and its attempts, which nobody makes, do not', () => {
  const reusing: LogDraft = { type: 'RunForked', data: { ...forked.data, reuse: true } }
  const data = { key: 'b', action: 'act', input: null, output: 1, attempts: 1, from: { runId: 'x', seq: 2 } }

  expect(countsOf(started, reusing, requested('a'), { type: 'ActionReused', data })).toMatchObject({
    ...{ requests: 2, attempts: 1 },
  })
})

test('a retry counts once, from when it is granted', () => {
  const granted = [started, requested('a'), failedOnce('a')]

  expect(countsOf(...granted)).toMatchObject({ requests: 1, attempts: 2 })
  expect(countsOf(...granted, begun('a', 2))).toMatchObject({ requests: 1, attempts: 2 })
})

test('an attempt that follows a crash counts', () => {
  expect(countsOf(started, requested('a'), abandoned('a'), begun('a', 2))).toMatchObject({ attempts: 2 })
})

test('an attempt that was given up before its handler was called is counted once with the one that follows', () => {
  const uncalled = (attempt: number): LogDraft => ({
    type: 'ActionAttemptAbandoned',
    data: { key: 'a', attempt, notExecuted: 'SECRET_KEY_MISSING' },
  })
  const log = [started, requested('a'), uncalled(1), begun('a', 2), uncalled(2), begun('a', 3)]

  expect(countsOf(...log)).toMatchObject({ attempts: 1 })
  expect(countsOf(...log, abandoned('a', 3), begun('a', 4))).toMatchObject({ attempts: 2 })
})

test('an attempt that follows the crash of a retry counts, too', () => {
  const crashed = [started, requested('a'), failedOnce('a'), begun('a', 2), abandoned('a', 2), begun('a', 3)]

  expect(countsOf(...crashed)).toMatchObject({ attempts: 3 })
})

test('usage counts of successes, failures and attempts that failed', () => {
  const log = [
    ...[started, requested('a'), requested('b')],
    ...[failedOnce('a', 1, { tokens: 1 }), begun('a', 2), succeeded('a', { tokens: 10, cents: 2 })],
    failed('b', { tokens: 100 }),
  ]

  expect(countsOf(...log).usage).toEqual({ tokens: 111, cents: 2 })
})

test('usage stops at the largest number that a log can hold', () => {
  const most = { tokens: Number.MAX_SAFE_INTEGER }
  const log = [started, requested('a'), requested('b'), succeeded('a', most), succeeded('b', most)]

  expect(countsOf(...log).usage).toEqual(most)
})

test('a turn is a stretch of decisions: one upon each lot of inputs, however many decisions it is', () => {
  const first = [started, requested('a'), requested('b')]

  expect(countsOf(started).turns).toBe(0)
  expect(countsOf(...first).turns).toBe(1)
  expect(countsOf(...first, succeeded('a'), succeeded('b')).turns).toBe(1)
  expect(countsOf(...first, succeeded('a'), succeeded('b'), requested('c')).turns).toBe(2)
})

test('while the step is asked its turn counts already, and counts once', () => {
  const before = systemOf([started])
  const amid = systemOf([started, requested('a')])

  expect(spentWhenDeciding(before, AT).turns).toBe(1)
  expect(spentWhenDeciding(amid, AT).turns).toBe(1)
})

test('time is counted from the first event', () => {
  const system = systemOf([started, requested('a')], [AT, AT + 5])

  expect(spentAt(system, AT + 70).wallClockMs).toBe(70)
})

test('a log that begins without RunStarted is counted from its first event', () => {
  expect(spentAt(systemOf([requested('a')]), AT + 7)).toMatchObject({ requests: 1, wallClockMs: 7 })
})

test('a run that continues another one goes on counting', () => {
  const spent = { requests: 2, attempts: 3, turns: 4, usage: { tokens: 5 }, startedAt: AT - 60 }
  const system = systemOf([{ type: 'RunStarted', data: { ...startedData, spent } }, requested('a')])

  expect(spentAt(system, AT)).toEqual({ requests: 3, attempts: 4, turns: 5, usage: { tokens: 5 }, wallClockMs: 60 })
})

test('a fork goes on with what its prefix spent, and not with the time in which it was not there', () => {
  const system = systemOf([started, requested('a'), succeeded('a', { tokens: 5 }), forked], [AT, AT, AT + 30, AT + 1e9])

  expect(spentAt(system, AT + 1e9 + 4)).toMatchObject({ requests: 1, usage: { tokens: 5 }, wallClockMs: 34 })
})

test('counts never fall, and are the sums of what the log says', () => {
  const lots = fc.array(fc.record({ failures: fc.nat(3), crashes: fc.nat(2), tokens: fc.nat(1000) }), { maxLength: 8 })
  fc.assert(
    fc.property(lots, (items) => {
      const log: LogDraft[] = [started]
      for (const [i, { failures, crashes, tokens }] of items.entries()) {
        const key = `k${i}`
        log.push(requested(key))
        let attempt = 1
        for (let n = 0; n < failures; n++) log.push(failedOnce(key, attempt, { tokens }), begun(key, ++attempt))
        for (let n = 0; n < crashes; n++) log.push(abandoned(key, attempt), begun(key, ++attempt))
        log.push(succeeded(key, { tokens }))
      }

      const { counts } = systemOf(log)
      const before = systemOf(log.slice(0, -1)).counts

      const sum = (of: (item: (typeof items)[number]) => number): number =>
        items.reduce((total, item) => total + of(item), 0)
      expect(counts).toMatchObject({
        requests: items.length,
        attempts: sum(({ failures, crashes }) => 1 + failures + crashes),
        turns: items.length,
      })
      expect(counts.usage['tokens'] ?? 0).toBe(sum(({ failures, tokens }) => (failures + 1) * tokens))
      expect(counts.attempts).toBeGreaterThanOrEqual(before.attempts)
      expect(counts.turns).toBeGreaterThanOrEqual(before.turns)
    }),
  )
})
