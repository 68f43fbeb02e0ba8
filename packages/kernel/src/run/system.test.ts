import { genesis } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ErrorInfo } from '../log/event-data.ts'
import { readLogEvent, type LogDraft, type LogEvent } from '../log/log-event.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { sealLog } from '../testing/sealed-log.ts'
import type { Stepper } from '../stepper/stepper.ts'
import type { RunFold } from './run-fold.ts'
import { fingerprint } from './item.ts'
import { holdFold, loadSnapshot } from './snapshot-body.ts'
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

const started: Extract<LogDraft, { type: 'RunStarted' }> = {
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
const migrated = (fromVersion: string, toVersion: string): LogDraft => ({
  type: 'Migrated',
  data: { fromVersion, toVersion },
})
const denied = (key: string): LogDraft => ({
  type: 'ActionDenied',
  data: { key, action: 'act', input: null, policy: 'p', reason: 'r' },
})
const interrupted = (key: string): LogDraft => ({ type: 'Interrupted', data: { key, kind: 'ask', value: null } })
const resumed = (key: string): LogDraft => ({ type: 'Resumed', data: { key, value: null } })
const dropped = (key: string): LogDraft => ({ type: 'ItemDropped', data: { key, outcome: 'unknown' } })
const inDoubt = (key: string, attempt: number): LogDraft => ({
  type: 'ActionInDoubt',
  data: { key, attempt, reason: 'r' },
})
const timerStarted = (key: string): LogDraft => ({ type: 'TimerStarted', data: { key, fireAt: 7000 } })
const timerFired = (key: string): LogDraft => ({ type: 'TimerFired', data: { key } })
const waitStarted = (key: string): LogDraft => ({ type: 'WaitStarted', data: { key, signal: 'go', fireAt: 8000 } })
const waitTimedOut = (key: string): LogDraft => ({ type: 'WaitTimedOut', data: { key } })
const delivered = (key: string, signalId = 's1'): LogDraft => ({
  type: 'SignalDelivered',
  data: { key, signalId, value: 1 },
})
const received = (signalId: string, name: string): LogDraft => ({
  type: 'SignalReceived',
  data: { signalId, name, value: 1 },
})
const expired = (key: string): LogDraft => ({ type: 'InterruptExpired', data: { key } })
const childStarted = (key: string): LogDraft => ({
  type: 'ChildStarted',
  data: { key, childRunId: `child-${key}`, workflow: 'w', input: null },
})
const childCompleted = (key: string): LogDraft => ({
  type: 'ChildCompleted',
  data: { key, status: 'failed', error, headHash: 'h' },
})
const cancelRequested: LogDraft = { type: 'CancelRequested', data: { reason: 'r', graceUntil: 9000 } }
const canceled: LogDraft = { type: 'Canceled', data: { reason: 'r' } }
const continued: LogDraft = { type: 'ContinuedAsNew', data: { newRunId: 'next', input: null } }
const forked: LogDraft = { type: 'RunForked', data: { fromRunId: 'x', atSeq: 1, fromHash: 'h' } }
const reusing: LogDraft = { type: 'RunForked', data: { ...forked.data, reuse: true } }
const reused = (key: string, runId = 'x', seq = 2): LogDraft => ({
  type: 'ActionReused',
  data: { key, action: 'act', input: null, output: 1, attempts: 1, from: { runId, seq } },
})
const fact = (key: string, scope: 'run' | 'attempt', actionKey: string): LogDraft => ({
  type: 'FactRecorded',
  data: { key, scope, actionKey, requestHash: 'h', value: 1 },
})
const updated: LogDraft = { type: 'StateUpdated', data: { payload: 1 } }
const domain: LogDraft = { type: 'DomainEvent', data: { name: 'n', payload: 1 } }
const completed: LogDraft = { type: 'Completed', data: { output: null } }
const failedRun: LogDraft = { type: 'Failed', data: { error, by: 'step' } }

/**
 * What may happen to one key, written down as a table: state of the key -> events that may stand there -> next state.
 * `attempting` and `resting` carry the number of the latest attempt.
 */
type KeyState = 'fresh' | 'attempting' | 'resting' | 'doubted' | 'asked' | 'timing' | 'waiting' | 'parenting' | 'closed'

const legal: Record<KeyState, Partial<Record<LogDraft['type'], KeyState>>> = {
  fresh: {
    ActionRequested: 'attempting',
    ActionDenied: 'closed',
    ActionReused: 'closed',
    Interrupted: 'asked',
    TimerStarted: 'timing',
    WaitStarted: 'waiting',
    ChildStarted: 'parenting',
  },
  attempting: {
    ActionAttemptFailed: 'resting',
    ActionAttemptAbandoned: 'resting',
    ActionInDoubt: 'doubted',
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
  doubted: {
    ActionAttemptStarted: 'attempting',
    ActionSucceeded: 'closed',
    ActionFailed: 'closed',
    ItemDropped: 'closed',
  },
  asked: { Resumed: 'closed', InterruptExpired: 'closed', ItemDropped: 'closed' },
  timing: { TimerFired: 'closed', ItemDropped: 'closed' },
  waiting: { SignalDelivered: 'closed', WaitTimedOut: 'closed', ItemDropped: 'closed' },
  parenting: { ChildCompleted: 'closed', ItemDropped: 'closed' },
  closed: {},
}

const anywhere: ReadonlySet<LogDraft['type']> = new Set(['StateUpdated', 'DomainEvent', 'CancelRequested'] as const)
const ends: ReadonlySet<LogDraft['type']> = new Set(['Completed', 'Failed', 'Canceled', 'ContinuedAsNew'] as const)

interface Model {
  head: number
  ended: boolean
  readonly keys: Map<string, { state: KeyState; attempt: number; facts: ReadonlySet<string> }>
  /** Ids of the signals named `go` that nobody took, and of all others. */
  kept: string[]
  others: number
  cancels: number
  /** Unknown in a log that began without a start. */
  version: string | undefined
  /** Whether it was forked so that it may reuse. */
  reuses: boolean
  /** Facts of the whole run; those of an attempt are with its key. */
  readonly facts: Set<string>
}

function freshModel(): Model {
  const none = { head: 0, ended: false, kept: [], others: 0, cancels: 0, version: undefined, reuses: false }
  return { ...none, keys: new Map(), facts: new Set() }
}

/** Whether the draft may stand next; moves the model when it may. */
function allows(model: Model, draft: LogDraft): boolean {
  if (model.ended) return false
  if (draft.type === 'RunStarted') {
    if (model.head === 0) model.version = draft.data.version
    return model.head === 0
  }
  if (draft.type === 'Migrated') {
    const { fromVersion, toVersion } = draft.data
    if (fromVersion === toVersion || (model.version ?? fromVersion) !== fromVersion) return false
    if (model.version !== undefined) model.version = toVersion
    return true
  }
  if (draft.type === 'CancelRequested') model.cancels++
  if (anywhere.has(draft.type)) return true
  if (draft.type === 'SignalReceived') {
    if (draft.data.name === 'go') model.kept.push(draft.data.signalId)
    else model.others++
    return true
  }
  if (draft.type === 'RunForked') {
    // What was open is forgotten, as if it had never been asked for.
    for (const [key, { state }] of model.keys) if (state !== 'closed') model.keys.delete(key)
    model.reuses = draft.data.reuse === true
    return true
  }
  if (draft.type === 'ActionReused') {
    const { from } = draft.data
    if (!model.reuses || from.runId !== 'x' || from.seq < 2) return false
  }
  if (ends.has(draft.type)) {
    const open = [...model.keys.values()].some(({ state }) => state !== 'closed')
    if (!open) model.ended = true
    return !open
  }
  if (draft.type === 'FactRecorded') return allowsFact(model, draft.data)
  const data = draft.data as { key: string; attempt?: number }
  const known = model.keys.get(data.key) ?? { state: 'fresh', attempt: 1, facts: new Set<string>() }
  const next = legal[known.state][draft.type]
  if (next === undefined) return false
  const expected = draft.type === 'ActionAttemptStarted' ? known.attempt + 1 : known.attempt
  if (data.attempt !== undefined && data.attempt !== expected) return false
  if (draft.type === 'SignalDelivered') {
    const { signalId } = draft.data
    if (!model.kept.includes(signalId)) return false
    model.kept.splice(model.kept.indexOf(signalId), 1)
  }
  // A failure forgets what the attempt was told, a crash does not.
  const facts = draft.type === 'ActionAttemptFailed' ? new Set<string>() : known.facts
  model.keys.set(data.key, { state: next, attempt: data.attempt ?? known.attempt, facts })
  return true
}

/** A fact is told to an attempt that is under way, once. */
function allowsFact({ keys, facts }: Model, data: Extract<LogDraft, { type: 'FactRecorded' }>['data']): boolean {
  const asker = keys.get(data.actionKey)
  if (asker?.state !== 'attempting') return false
  if ((data.scope === 'run' ? facts : asker.facts).has(data.key)) return false
  if (data.scope === 'run') facts.add(data.key)
  else keys.set(data.actionKey, { ...asker, facts: new Set([...asker.facts, data.key]) })
  return true
}

const anyKey = fc.constantFrom('a', 'b')
const anyAttempt = fc.integer({ min: 1, max: 3 })
const anyAttemptDraft = fc
  .tuple(fc.constantFrom(attemptStarted, attemptFailed, abandoned, inDoubt), anyKey, anyAttempt)
  .map(([make, key, attempt]) => make(key, attempt))
const ofKey = [requested, succeeded, failedAction, denied, interrupted, resumed, dropped, timerStarted, timerFired]
const ofKeyToo = [waitStarted, waitTimedOut, delivered, expired, childStarted, childCompleted]
const anyDraft: fc.Arbitrary<LogDraft> = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(started, updated, domain, cancelRequested, forked, reusing) },
  { weight: 1, arbitrary: fc.constantFrom(completed, failedRun, canceled, continued) },
  {
    weight: 10,
    arbitrary: fc
      .tuple(fc.constantFrom(...ofKey, ...ofKeyToo), anyKey)
      .map(([make, key]: [(key: string) => LogDraft, string]) => make(key)),
  },
  { weight: 3, arbitrary: anyAttemptDraft },
  { weight: 1, arbitrary: fc.constantFrom(reused('a'), reused('b'), reused('a', 'y'), reused('a', 'x', 1)) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('f', '__proto__'), fc.constantFrom('run', 'attempt'), anyKey)
      .map(([key, scope, actionKey]) => fact(key, scope, actionKey)),
  },
  { weight: 1, arbitrary: fc.constantFrom(migrated('1', '2'), migrated('2', '1'), migrated('2', '2')) },
  { weight: 2, arbitrary: fc.constantFrom('s1', 's3').map((id) => received(id, 'go')) },
  { weight: 1, arbitrary: fc.constant('s2').map((id) => received(id, 'stop')) },
)

/** An attempt that is told something and fails hardly ever comes about by chance. */
const toldAndFailed = anyKey.map((key) => [requested(key), fact('f', 'attempt', key), attemptFailed(key, 1)])
const anyLog = fc
  .array(
    fc.oneof({ weight: 12, arbitrary: anyDraft.map((draft) => [draft]) }, { weight: 1, arbitrary: toldAndFailed }),
    {
      maxLength: 30,
    },
  )
  .map((parts) => parts.flat())

/** Events as they come, those that the model forbids left out. */
function legalOnly(drafts: readonly LogDraft[]): LogDraft[] {
  const model = freshModel()
  return drafts.filter((draft) => {
    const may = allows(model, draft)
    if (may) model.head++
    return may
  })
}

describe('against a table of legal transitions', () => {
  test('the fold accepts what the table allows, refuses what it forbids, and is unchanged by what it refuses', () => {
    fc.assert(
      fc.property(anyLog, (drafts) => {
        const system = emptySystem('run-1')
        const model = freshModel()
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
        expect(system.signals).toHaveLength(model.kept.length + model.others)
        expect(system.cancel?.requests ?? 0).toBe(model.cancels)
        expect(system.started?.version).toBe(model.version)
        expect([...(system.facts?.keys() ?? [])]).toEqual([...model.facts])
        for (const item of system.open.values()) {
          const told = item.kind === 'action' ? Object.keys(item.facts ?? {}) : []
          expect(told).toEqual([...(model.keys.get(item.key)?.facts ?? [])])
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('the status follows from what is open', () => {
    fc.assert(
      fc.property(anyLog, (drafts) => {
        const log = legalOnly(drafts)
        const system = fold(eventsOf(log))

        const last = log.at(-1)?.type
        const open = [...system.open.values()]
        const moves = open.some((item) => item.kind === 'action' && item.attempting)
        const ended: Partial<Record<string, string>> = {
          ...{ Completed: 'completed', Failed: 'failed' },
          ...{ Canceled: 'canceled', ContinuedAsNew: 'continued' },
        }
        const alive = open.length > 0 && !moves ? 'blocked' : 'running'
        expect(statusOf(system)).toBe(ended[last ?? ''] ?? alive)
      }),
    )
  })

  test('every prefix of a log folds, and folding it twice gives the same', () => {
    fc.assert(
      fc.property(anyLog, (drafts) => {
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
      fc.property(anyLog, fc.nat(), (drafts, cut) => {
        const events = eventsOf(legalOnly(drafts))
        const inParts = fold(events.slice(0, cut % (events.length + 1)))

        for (const event of events.slice(inParts.end.seq)) applyToSystem(inParts, event)

        expect(inParts).toEqual(fold(events))
      }),
    )
  })
})

describe('a snapshot', () => {
  const stateless: Stepper = {
    apply: () => undefined,
    want: () => ({ kind: 'requests', known: [], fresh: [] }),
    hold: () => () => null,
    load: () => undefined,
  }
  const foldOf = (system: System): RunFold => ({ system, stepper: stateless })
  const shown = (system: System) => ({
    ...system,
    // Of what was recorded with a request, the input counts.
    open: [...system.open.values()].map((item) =>
      item.kind === 'action' ? { ...item, request: { input: item.request.input } } : item,
    ),
  })

  test('of a fold at any point of its log loads to the same fold, and folds on alike', () => {
    fc.assert(
      fc.property(anyLog, (drafts) => {
        const events = eventsOf(legalOnly(drafts))
        for (let length = 0; length <= events.length; length++) {
          const system = fold(events.slice(0, length))
          const { end, body } = holdFold(foldOf(system))
          const loaded = emptySystem('run-1')

          loadSnapshot(foldOf(loaded), end, body())

          expect(shown(loaded)).toEqual({ ...shown(system), removed: undefined })
          for (const event of events.slice(length)) applyToSystem(loaded, event)
          expect({ ...shown(loaded), removed: [] }).toEqual({ ...shown(fold(events)), removed: [] })
        }
      }),
      { numRuns: 200 },
    )
  })

  test('says of an open action what those of its format say, whatever release goes on from it', () => {
    const data = { key: 'a', action: 'act', input: { text: 'x'.repeat(100) }, effect: 'pure', tool: 't' } as const
    const events = eventsOf([started, { type: 'ActionRequested', data }])
    const body = holdFold(foldOf(fold(events))).body()

    expect((JSON.parse(body) as { open: unknown }).open).toEqual([
      {
        ...{ kind: 'action', key: 'a', seq: 2, action: 'act', input: data.input, effect: 'pure', tool: 't' },
        ...{ fingerprint: fingerprint(data.input), attempt: 1, failures: 0, attempting: true, inDoubt: false },
      },
    ])
  })

  test('keeps the order of what is open and of the signals', () => {
    const system = fold(
      eventsOf([timerStarted('z'), waitStarted('a'), received('s2', 'stop'), received('s1', 'go'), cancelRequested]),
    )
    const { end, body } = holdFold(foldOf(system))
    const loaded = emptySystem('run-1')

    loadSnapshot(foldOf(loaded), end, body())

    expect([...loaded.open.keys()]).toEqual(['z', 'a'])
    expect(loaded.signals.map(({ signalId }) => signalId)).toEqual(['s2', 's1'])
    expect(loaded.cancel).toEqual(system.cancel)
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

  test('a blocked run says what it waits for, whatever kind it is of, and in doubt of what', () => {
    const log = [timerStarted('t'), waitStarted('w'), childStarted('c'), requested('a'), inDoubt('a', 1)]

    const system = fold(eventsOf(log))

    expect(blockedOn(system)).toEqual([
      { kind: 'timer', key: 't', name: 'timer', until: 7000 },
      { kind: 'wait', key: 'w', name: 'go', until: 8000 },
      { kind: 'child', key: 'c', name: 'w' },
      { kind: 'action', key: 'a', name: 'act', inDoubt: true },
    ])
    expect(wakeAt(system)).toBe(7000)
  })

  test('of very many items the first hundred are listed, and all that wait for people', () => {
    const timers = Array.from({ length: 150 }, (_, i) => timerStarted(`t${i}`))

    const system = fold(eventsOf([...timers, interrupted('i'), requested('a'), inDoubt('a', 1)]))

    const listed = blockedOn(system).map(({ key }) => key)
    expect(listed).toEqual([...Array.from({ length: 100 }, (_, i) => `t${i}`), 'i', 'a'])
    expect(wakeAt(system)).toBe(7000)
  })

  test('a run with a deadline wakes for it, until it is canceled: then for the end of its grace', () => {
    const deadline: LogDraft = { ...started, data: { ...started.data, deadlineAt: 6000 } }

    expect(wakeAt(fold(eventsOf([deadline, interrupted('a')])))).toBe(6000)
    expect(wakeAt(fold(eventsOf([deadline, cancelRequested, interrupted('a')])))).toBe(9000)
  })

  test('a request to cancel dooms what is open then, and the reason of the first one counts', () => {
    const again: LogDraft = { type: 'CancelRequested', data: { reason: 'other' } }

    const once = fold(eventsOf([timerStarted('a'), cancelRequested, timerStarted('b')]))
    const twice = fold(eventsOf([timerStarted('a'), cancelRequested, timerStarted('b'), again]))

    expect(once.cancel).toEqual({ reason: 'r', graceUntil: 9000, requests: 1, doomed: ['a'] })
    expect(twice.cancel).toEqual({ reason: 'r', graceUntil: 9000, requests: 2, doomed: ['a', 'b'] })
  })

  test('a wait takes no signal of another name', () => {
    const system = fold(eventsOf([waitStarted('w'), received('s1', 'stop')]))
    const event = { ...delivered('w'), seq: 3, at: 1000, hash: 'h' } as LogEvent

    expect(() => applyToSystem(system, event)).toThrow(expect.objectContaining(kernelError('INVALID_LOG')))
    expect(system.signals).toHaveLength(1)
  })

  test('a copy waits for nobody, and nobody for it', () => {
    const child: LogDraft = { ...started, data: { ...started.data, parent: { runId: 'p', key: 'c' } } }

    const system = fold(eventsOf([child, timerStarted('t'), received('s1', 'go'), forked]))

    expect(system.started).not.toHaveProperty('parent')
    expect(system.open.size).toBe(0)
    expect(system.signals).toHaveLength(1)
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

  test('a key that was denied or failed keeps its error, one that succeeded or was reused has none', () => {
    const drafts = [
      reusing,
      denied('a'),
      requested('b'),
      failedAction('b'),
      requested('c'),
      succeeded('c'),
      reused('d'),
    ]
    const system = fold(eventsOf(drafts))

    expect(system.closed.get('a')?.error).toMatchObject({ message: 'p: r', code: 'ACTION_DENIED' })
    expect(system.closed.get('b')?.error).toEqual(error)
    expect(system.closed.get('c')).not.toHaveProperty('error')
    expect(system.closed.get('d')).toEqual(system.closed.get('c'))
  })

  test('keys such as __proto__ are keys like any other', () => {
    const system = fold(eventsOf([requested('__proto__'), requested('constructor'), succeeded('__proto__')]))

    expect(isKnown(system, 'toString')).toBe(false)
    expect([...system.open.keys()]).toEqual(['constructor'])
    expect(Array.from(system.closed, ([key]) => key)).toEqual(['__proto__'])
  })
})
