import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ErrorInfo } from '../log/event-data.ts'
import { readLogEvent, type LogDraft, type LogEvent } from '../log/log-event.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { sealLog } from '../testing/sealed-log.ts'
import { genesis } from '@varve/store'
import { applyToSystem, blockedOn, emptySystem, isKnown, statusOf, wakeAt, type System } from './system.ts'

const error: ErrorInfo = { message: 'x', kind: 'transient' }

function eventsOf(drafts: readonly LogDraft[]): LogEvent[] {
  let end = genesis('run-1')
  return sealLog('run-1', drafts).map((stored) => {
    const event = readLogEvent(end, stored)
    end = { seq: event.seq, hash: event.hash }
    return event
  })
}

function fold(events: readonly LogEvent[]): System {
  const system = emptySystem('run-1')
  for (const event of events) applyToSystem(system, event)
  return system
}

const started: LogDraft = {
  type: 'RunStarted',
  data: { workflow: 'w', version: '1', input: null, seed: 's', tags: [], queue: 'q' },
}
const requested = (key: string): LogDraft => ({
  type: 'ActionRequested',
  data: { key, action: 'act', input: null, effect: 'idempotent' },
})
const attemptStarted = (key: string, attempt: number): LogDraft => ({
  type: 'ActionAttemptStarted',
  data: { key, attempt },
})
const attemptFailed = (key: string, attempt: number, retryAt = 5): LogDraft => ({
  type: 'ActionAttemptFailed',
  data: { key, attempt, error, retryAt },
})
const abandoned = (key: string, attempt: number): LogDraft => ({
  type: 'ActionAttemptAbandoned',
  data: { key, attempt },
})
const succeeded = (key: string): LogDraft => ({ type: 'ActionSucceeded', data: { key, output: 1, attempts: 1 } })
const failedAction = (key: string): LogDraft => ({ type: 'ActionFailed', data: { key, error, attempts: 1 } })
const denied = (key: string): LogDraft => ({
  type: 'ActionDenied',
  data: { key, action: 'act', input: null, policy: 'p', reason: 'r' },
})
const interrupted = (key: string): LogDraft => ({ type: 'Interrupted', data: { key, kind: 'ask', value: null } })
const resumed = (key: string): LogDraft => ({ type: 'Resumed', data: { key, value: null } })
const dropped = (key: string): LogDraft => ({ type: 'ItemDropped', data: { key, outcome: 'unknown' } })
const updated: LogDraft = { type: 'StateUpdated', data: { payload: 1 } }
const domain: LogDraft = { type: 'DomainEvent', data: { name: 'n', payload: 1 } }
const completed: LogDraft = { type: 'Completed', data: { output: null } }
const failedRun: LogDraft = { type: 'Failed', data: { error, by: 'step' } }

/**
 * What may happen to one key, written down as a table: state of the key -> events that may stand there -> next state.
 * `attempting` and `resting` carry the number of the latest attempt.
 */
type KeyState = 'fresh' | 'attempting' | 'resting' | 'asked' | 'closed'

const legal: Record<KeyState, Partial<Record<LogDraft['type'], KeyState>>> = {
  fresh: { ActionRequested: 'attempting', ActionDenied: 'closed', Interrupted: 'asked' },
  attempting: {
    ActionAttemptFailed: 'resting',
    ActionAttemptAbandoned: 'resting',
    ActionSucceeded: 'closed',
    ActionFailed: 'closed',
    ItemDropped: 'closed',
  },
  // An outcome of an attempt that was given up may still come in.
  resting: {
    ActionAttemptStarted: 'attempting',
    ActionSucceeded: 'closed',
    ActionFailed: 'closed',
    ItemDropped: 'closed',
  },
  asked: { Resumed: 'closed', ItemDropped: 'closed' },
  closed: {},
}

const anywhere: ReadonlySet<LogDraft['type']> = new Set(['StateUpdated', 'DomainEvent'] as const)

interface Model {
  head: number
  ended: boolean
  readonly keys: Map<string, { state: KeyState; attempt: number }>
}

/** Whether the draft may stand next; moves the model when it may. */
function allows(model: Model, draft: LogDraft): boolean {
  if (model.ended) return false
  if (draft.type === 'RunStarted') return model.head === 0
  if (anywhere.has(draft.type)) return true
  if (draft.type === 'Completed' || draft.type === 'Failed') {
    const open = [...model.keys.values()].some(({ state }) => state !== 'closed')
    if (!open) model.ended = true
    return !open
  }
  const data = draft.data as { key: string; attempt?: number }
  const known = model.keys.get(data.key) ?? { state: 'fresh', attempt: 1 }
  const next = legal[known.state][draft.type]
  if (next === undefined) return false
  const expected = draft.type === 'ActionAttemptStarted' ? known.attempt + 1 : known.attempt
  if (data.attempt !== undefined && data.attempt !== expected) return false
  model.keys.set(data.key, { state: next, attempt: data.attempt ?? known.attempt })
  return true
}

const anyKey = fc.constantFrom('a', 'b')
const anyAttempt = fc.integer({ min: 1, max: 3 })
const anyDraft: fc.Arbitrary<LogDraft> = fc.oneof(
  fc.constantFrom(started, updated, domain, completed, failedRun),
  fc
    .tuple(fc.constantFrom(requested, succeeded, failedAction, denied, interrupted, resumed, dropped), anyKey)
    .map(([make, key]) => make(key)),
  fc
    .tuple(fc.constantFrom(attemptStarted, attemptFailed, abandoned), anyKey, anyAttempt)
    .map(([make, key, attempt]) => make(key, attempt)),
)

/** Events as they come, those that the model forbids left out. */
function legalOnly(drafts: readonly LogDraft[]): LogDraft[] {
  const model: Model = { head: 0, ended: false, keys: new Map() }
  return drafts.filter((draft) => {
    const may = allows(model, draft)
    if (may) model.head++
    return may
  })
}

describe('against a table of legal transitions', () => {
  test('the fold accepts what the table allows, refuses what it forbids, and is unchanged by what it refuses', () => {
    fc.assert(
      fc.property(fc.array(anyDraft, { maxLength: 30 }), (drafts) => {
        const system = emptySystem('run-1')
        const model: Model = { head: 0, ended: false, keys: new Map() }
        for (const draft of drafts) {
          const event = { ...draft, seq: system.end.seq + 1, at: 0, hash: `h${system.end.seq + 1}` } as LogEvent
          const before = structuredClone(system)

          const may = allows(model, draft)

          if (may) {
            applyToSystem(system, event)
            model.head++
          } else {
            expect(() => applyToSystem(system, event)).toThrow(expect.objectContaining(kernelError('INVALID_LOG')))
            expect(system).toEqual(before)
          }
        }
        for (const [key, { state }] of model.keys) {
          expect(system.open.has(key)).toBe(state !== 'closed')
          expect(isKnown(system, key)).toBe(true)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('the status follows from what is open', () => {
    fc.assert(
      fc.property(fc.array(anyDraft, { maxLength: 30 }), (drafts) => {
        const log = legalOnly(drafts)
        const system = fold(eventsOf(log))

        const last = log.at(-1)?.type
        const open = [...system.open.values()]
        const moves = open.some((item) => item.kind === 'action' && item.attempting)
        const expected =
          last === 'Completed'
            ? 'completed'
            : last === 'Failed'
              ? 'failed'
              : open.length > 0 && !moves
                ? 'blocked'
                : 'running'
        expect(statusOf(system)).toBe(expected)
      }),
    )
  })

  test('every prefix of a log folds, and folding it twice gives the same', () => {
    fc.assert(
      fc.property(fc.array(anyDraft, { maxLength: 30 }), (drafts) => {
        const events = eventsOf(legalOnly(drafts))

        for (let length = 0; length <= events.length; length++) {
          const prefix = events.slice(0, length)
          expect(fold(prefix)).toEqual(fold(prefix))
        }
      }),
      { numRuns: 50 },
    )
  })

  test('a log that was folded in two parts stands where one that was folded at once stands', () => {
    fc.assert(
      fc.property(fc.array(anyDraft, { maxLength: 30 }), fc.nat(), (drafts, cut) => {
        const events = eventsOf(legalOnly(drafts))
        const inParts = fold(events.slice(0, cut % (events.length + 1)))

        for (const event of events.slice(inParts.end.seq)) applyToSystem(inParts, event)

        expect(inParts).toEqual(fold(events))
      }),
    )
  })
})

describe('what the fold keeps', () => {
  test('an event whose time is before that of the event before it is refused', () => {
    const system = emptySystem('run-1')
    const at = (draft: LogDraft, time: number): LogEvent => ({ ...draft, seq: system.end.seq + 1, at: time, hash: 'h' })
    applyToSystem(system, at(started, 10))

    expect(() => applyToSystem(system, at(updated, 9))).toThrow(expect.objectContaining(kernelError('INVALID_LOG')))
    expect(() => applyToSystem(system, at(updated, 10))).not.toThrow()
  })

  test('failures are counted, crashes are not', () => {
    const log = [started, requested('a'), attemptFailed('a', 1), attemptStarted('a', 2), abandoned('a', 2)]

    const system = fold(eventsOf([...log, attemptStarted('a', 3), attemptFailed('a', 3)]))

    expect(system.open.get('a')).toMatchObject({ attempt: 3, failures: 2, attempting: false })
  })

  test('a blocked run says what it waits for, and wakes at the least time', () => {
    const log = [requested('a'), requested('b'), interrupted('c'), attemptFailed('a', 1, 90), attemptFailed('b', 1, 70)]

    const system = fold(eventsOf(log))

    expect(statusOf(system)).toBe('blocked')
    expect(blockedOn(system)).toEqual([
      { kind: 'action', key: 'a', name: 'act', until: 90 },
      { kind: 'action', key: 'b', name: 'act', until: 70 },
      { kind: 'interrupt', key: 'c', name: 'ask' },
    ])
    expect(wakeAt(system)).toBe(70)
  })

  test('a run that waits for answers alone wakes at no time', () => {
    expect(wakeAt(fold(eventsOf([interrupted('a')])))).toBeNull()
  })

  test('an open question does not block a run whose action is under way', () => {
    expect(statusOf(fold(eventsOf([interrupted('a'), requested('b')])))).toBe('running')
  })

  test('the closing event returns the item that it closed', () => {
    const events = eventsOf([requested('a'), succeeded('a')])
    const system = fold(events.slice(0, 1))

    expect(applyToSystem(system, events[1]!)).toMatchObject({ kind: 'action', key: 'a', action: 'act' })
  })

  test('a key that was denied or failed keeps its error, one that succeeded has none', () => {
    const system = fold(eventsOf([denied('a'), requested('b'), failedAction('b'), requested('c'), succeeded('c')]))

    expect(system.closed.get('a')?.error).toMatchObject({ message: 'p: r', code: 'ACTION_DENIED' })
    expect(system.closed.get('b')?.error).toEqual(error)
    expect(system.closed.get('c')).not.toHaveProperty('error')
  })

  test('keys such as __proto__ are keys like any other', () => {
    const system = fold(eventsOf([requested('__proto__'), requested('constructor'), succeeded('__proto__')]))

    expect(isKnown(system, 'toString')).toBe(false)
    expect([...system.open.keys()]).toEqual(['constructor'])
    expect([...system.closed.keys()]).toEqual(['__proto__'])
  })
})
