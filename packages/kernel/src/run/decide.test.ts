import { defaultLimits, genesis, type EventDraft } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { unguarded } from '../guard/guard.ts'
import type { EventData, EventType } from '../log/event-data.ts'
import { readLogEvent } from '../log/log-event.ts'
import type { Labels } from '../policy/labels.ts'
import type { Denial } from '../policy/policy.ts'
import { kernelError } from '../testing/expected-errors.ts'
import type { LooseNext } from '../testing/loose-step.ts'
import { runStarted, sealLog } from '../testing/sealed-log.ts'
import type { Decision, ItemRequest, Requests } from '../workflow/decision.ts'
import { defineWorkflow, type StepContext, type Workflow } from '../workflow/define-workflow.ts'
import { next as checkedNext } from '../workflow/next.ts'
import type { ResultsState } from '../workflow/results-state.ts'
import { decide, TURN_EVENTS } from './decide.ts'
import { applyEvent, type RunFold } from './run-fold.ts'
import { emptySystem } from './system.ts'

type Step = (state: ResultsState, ctx: StepContext) => unknown

/** `next`, for anything that a step written in JavaScript may ask for. */
const next = checkedNext as LooseNext

/** A workflow whose step may answer anything, as one written in JavaScript may. */
function workflowOf(step: Step): Workflow<unknown> {
  return defineWorkflow(
    {
      ...{ name: 'w', version: '1', input: z.unknown() },
      actions: { act: { run: (n: number) => n }, pure: { effect: 'pure', run: () => null } },
      interrupts: { ask: { ask: z.object({ text: z.string() }), answer: z.unknown() } },
      events: { moved: z.object({ to: z.string().trim() }) },
    },
    { step: (state, _, ctx) => step(state as ResultsState, ctx) as Decision },
  )
}

function foldOf({ definition }: Workflow<unknown>, log: readonly EventDraft[] = [runStarted('w')]): RunFold {
  const fold: RunFold = { system: emptySystem('run-1'), stepper: definition.stepper(unguarded) }
  let end = genesis('run-1')
  for (const stored of sealLog('run-1', log)) {
    applyEvent(fold, readLogEvent(end, stored))
    end = { seq: stored.seq, hash: stored.hash }
  }
  return fold
}

interface DecideOptions {
  readonly log?: readonly EventDraft[]
  readonly deny?: (key: string) => Denial | undefined
  readonly at?: number
  readonly labels?: Labels
  /** Nobody is asked about any action. */
  readonly unasked?: boolean
}

function decideOnce(step: Step, { log, deny, at = 2000, labels: given = {}, unasked = false }: DecideOptions = {}) {
  const workflow = workflowOf(step)
  const fold = foldOf(workflow, log)
  const decided = decide(fold, {
    ...{ definition: workflow.definition, at, limits: defaultLimits },
    verdict: ({ key }) => deny?.(key),
    labels: () => given,
    ...(unasked && { unasked: () => given }),
    childRunId: (key) => `child of ${key}`,
  })
  const events = decided.events.map(({ stored, data }) => ({
    type: stored.type,
    data: data as Record<string, unknown>,
  }))
  return { ...decided, fold, decided: events, keys: events.map(({ data }) => data['key']) }
}

function event<T extends EventType>(type: T, data: EventData[T]): EventDraft {
  return { type, data }
}

const requested = (key: string, input: number | null = null, action = 'act') =>
  event('ActionRequested', { key, action, input, effect: 'idempotent' })
const succeeded = (key: string) => event('ActionSucceeded', { key, output: 1, attempts: 1 })
const failed = (key: string) =>
  event('ActionFailed', { key, attempts: 1, error: { message: `${key} broke`, kind: 'permanent' } })

const run = (key: string, input: number | null = null, action = 'act'): Requests => next.run(action, input, { key })
const { all } = next

/** A place that is known at least as well as this. */
const within = (where: object): unknown => expect.objectContaining({ runId: 'run-1', ...where })

describe('a decision is pure', () => {
  /** A step that walks through scripted answers: one per closed key. */
  const script = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('emit' as const), count: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant('run' as const), width: fc.integer({ min: 1, max: 4 }) }),
    ),
    { minLength: 1, maxLength: 5 },
  )

  test('the same log and code decide the same events, byte for byte', () => {
    fc.assert(
      fc.property(script, fc.integer({ min: 2000 }), (answers, at) => {
        const scripted = (): Step => {
          let asked = 0
          return () => {
            const answer = answers[asked++]
            if (answer === undefined) return next.complete(asked)
            if (answer.kind === 'emit') {
              return next.emit(
                ...Array.from({ length: answer.count }, (_, n) => ({ type: 'StateUpdated' as const, payload: n })),
              )
            }
            return all(Array.from({ length: answer.width }, (_, n) => run(`${asked}:${n}`, n)))
          }
        }

        const first = decideOnce(scripted(), { at })
        const second = decideOnce(scripted(), { at })

        expect(first.events).toEqual(second.events)
        expect(first.fold.system).toEqual(second.fold.system)
      }),
    )
  })

  test('all events of a decision have its time, which the step is told', () => {
    const { events } = decideOnce((_, { now }) => next.complete(now), { at: 4711 })

    expect(events.map(({ stored }) => stored.at)).toEqual([4711])
    expect(events[0]?.data).toEqual({ output: 4711 })
  })
})

describe('the bound of a turn', () => {
  const emitting = (count: number) =>
    next.emit(...Array.from({ length: count }, () => ({ type: 'StateUpdated' as const, payload: 0 })))

  test('a turn decides at most 500 events and says that there is more', () => {
    const { events, more } = decideOnce(() => emitting(1))

    expect(events).toHaveLength(TURN_EVENTS)
    expect(TURN_EVENTS).toBe(500)
    expect(more).toBe(true)
  })

  test('requests beyond it are left for the next turn', () => {
    const step: Step = () => all(Array.from({ length: 544 }, (_, n) => run(`k${n}`)))
    const first = decideOnce(step)

    const rest = decideOnce(step, { log: [runStarted('w'), ...first.decided] })

    expect(first).toMatchObject({ more: true })
    expect(first.events).toHaveLength(500)
    expect(rest).toMatchObject({ more: false })
    expect(rest.keys).toEqual(Array.from({ length: 44 }, (_, n) => `k${n + 500}`))
  })

  test('requests that fill it are followed by another turn: whoever asks may ask for no more than that at once', () => {
    const step: Step = () => all(Array.from({ length: 500 }, (_, n) => run(`k${n}`)))
    const first = decideOnce(step)

    const second = decideOnce(step, { log: [runStarted('w'), ...first.decided] })

    expect(first).toMatchObject({ more: true })
    expect(first.events).toHaveLength(500)
    expect(second).toMatchObject({ more: false, events: [] })
  })

  test('events that are emitted together are not torn apart', () => {
    const { events, more } = decideOnce(() => emitting(200))

    expect(events).toHaveLength(400)
    expect(more).toBe(true)
  })

  test('more than 500 events at once are refused', () => {
    expect(() => decideOnce(() => emitting(501))).toThrow(expect.objectContaining(kernelError('INVALID_STEP')))
  })

  test('a turn ends early when what it decides has grown large', () => {
    const big = 'x'.repeat(900_000)
    const step: Step = () => all(Array.from({ length: 20 }, (_, n) => next.run('act', big, { key: `k${n}` })))

    const { events, more } = decideOnce(step)

    const bytes = events.reduce((sum, { stored }) => sum + Buffer.byteLength(stored.body), 0)
    expect(more).toBe(true)
    expect(bytes).toBeLessThanOrEqual(defaultLimits.appendBytes / 2)
  })

  test('the end of a run may exceed it, because it drops everything that is open', () => {
    const log = [runStarted('w'), ...Array.from({ length: 300 }, (_, n) => requested(`k${n}`))]

    const { decided } = decideOnce(() => next.complete('done'), { log })

    expect(decided).toHaveLength(301)
    expect(decided.at(-1)).toEqual({ type: 'Completed', data: { output: 'done' } })
  })
})

describe('requests', () => {
  test('a fresh request opens an item with its effect class', () => {
    expect(decideOnce(() => all([run('a', 1), run('b', null, 'pure')])).decided).toEqual([
      { type: 'ActionRequested', data: { key: 'a', action: 'act', input: 1, effect: 'idempotent' } },
      { type: 'ActionRequested', data: { key: 'b', action: 'pure', input: null, effect: 'pure' } },
    ])
  })

  test('the key is the name of the action or interrupt unless another is given', () => {
    const step: Step = () => all([next.run('act', 1), next.interrupt('ask', { text: 'ok?' })])

    expect(decideOnce(step).keys).toEqual(['act', 'ask'])
  })

  test('a question is recorded as its schema returns it', () => {
    const step: Step = () => next.interrupt('ask', { text: 'ok?', extra: 1 })

    expect(decideOnce(step).decided).toEqual([
      { type: 'Interrupted', data: { key: 'ask', kind: 'ask', value: { text: 'ok?' } } },
    ])
  })

  test('a request whose key is open is that item', () => {
    const log = [runStarted('w'), requested('a', 1)]

    expect(decideOnce(() => run('a', 1), { log }).decided).toEqual([])
  })

  test('a request whose key has closed is not started again, beside others that are open or new', () => {
    const log = [runStarted('w'), requested('a', 1), requested('b', 1), succeeded('a')]

    expect(decideOnce(() => all([run('a', 1), run('b', 1), run('c', 1)]), { log }).keys).toEqual(['c'])
  })

  test('the same key twice in one answer is one item', () => {
    expect(decideOnce(() => all([run('a', 1), run('a', 1), run('b', 1)])).keys).toEqual(['a', 'b'])
  })

  test.for<[what: string, log: EventDraft[], answer: () => Requests]>([
    ['an open key with another input', [requested('a', 1)], () => run('a', 2)],
    ['a closed key with another input', [requested('a', 1), succeeded('a')], () => run('a', 2)],
    ['a failed key with another input', [requested('a', 1), failed('a')], () => run('a', 2)],
    ['one key twice with different inputs', [], () => all([run('a', 1), run('a', 2)])],
    [
      'a key of an action for a question',
      [requested('a', 1)],
      () => next.interrupt('ask', { text: 'a' }, { key: 'a' }),
    ],
    ['an open key with another action', [requested('a', null)], () => run('a', null, 'pure')],
    ['a closed key with another action', [requested('a', null), succeeded('a')], () => run('a', null, 'pure')],
  ])('%s is refused', ([, log, answer]) => {
    const deciding = (): unknown => decideOnce(answer, { log: [runStarted('w'), ...log] })

    expect(deciding).toThrow(expect.objectContaining({ ...kernelError('KEY_REUSED'), where: within({ key: 'a' }) }))
  })

  test('inputs are the same whatever the order of their properties', () => {
    const first = event('ActionRequested', { key: 'a', action: 'act', input: { x: 1, y: [2] }, effect: 'idempotent' })

    const { decided } = decideOnce(() => next.run('act', { y: [2], x: 1 }, { key: 'a' }), {
      log: [runStarted('w'), first],
    })

    expect(decided).toEqual([])
  })

  test('large inputs are told apart, too', () => {
    const input = 'x'.repeat(500)
    const first = event('ActionRequested', { key: 'a', action: 'act', input, effect: 'idempotent' })
    const log = [runStarted('w'), first]

    expect(decideOnce(() => next.run('act', input, { key: 'a' }), { log }).decided).toEqual([])
    expect(() => decideOnce(() => next.run('act', `${input}y`, { key: 'a' }), { log })).toThrow(
      expect.objectContaining(kernelError('KEY_REUSED')),
    )
  })
})

describe('concurrency', () => {
  const five = () => ['a', 'b', 'c', 'd', 'e'].map((key) => run(key))

  test('only so many are opened at first', () => {
    expect(decideOnce(() => all(five(), { concurrency: 2 })).keys).toEqual(['a', 'b'])
  })

  test('as many more are opened as have closed, in order', () => {
    const log = [runStarted('w'), requested('a'), requested('b'), succeeded('b')]

    expect(decideOnce(() => all(five(), { concurrency: 2 }), { log }).keys).toEqual(['c'])
  })

  test('nothing is opened while all places are taken', () => {
    const log = [runStarted('w'), requested('a'), requested('b')]

    expect(decideOnce(() => all(five(), { concurrency: 2 }), { log }).keys).toEqual([])
  })

  test('an inner group keeps to its own bound and to that of the outer one', () => {
    const step: Step = () =>
      all(
        [
          all(
            ['a', 'b', 'c'].map((key) => run(key)),
            { concurrency: 1 },
          ),
          run('d'),
          run('e'),
        ],
        { concurrency: 2 },
      )

    expect(decideOnce(step).keys).toEqual(['a', 'd'])
  })

  test('items open in an inner group count in the outer one', () => {
    const log = [runStarted('w'), requested('a'), requested('b')]
    const step: Step = () => all([all([run('a'), run('b'), run('c')]), run('d')], { concurrency: 3 })

    expect(decideOnce(step, { log }).keys).toEqual(['c'])
  })

  test('an item outside the group takes no place in it', () => {
    const log = [runStarted('w'), requested('z')]
    const step: Step = () => all([run('z'), all([run('a'), run('b')], { concurrency: 1 })])

    expect(decideOnce(step, { log }).keys).toEqual(['a'])
  })

  test('a denied item takes no place', () => {
    const { keys } = decideOnce(() => all(five(), { concurrency: 2 }), {
      deny: (key) => (key === 'a' || key === 'b' ? { policy: 'p', reason: 'no' } : undefined),
    })

    expect(keys).toEqual(['a', 'b', 'c', 'd'])
  })

  test('there are never more open than the bound, and all are opened in the end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 12 }), (concurrency, count) => {
        const step: Step = ({ results }) => {
          const done = Object.keys(results).length
          return done === count
            ? next.complete(done)
            : all(
                Array.from({ length: count }, (_, n) => run(`k${n}`)),
                { concurrency },
              )
        }
        const log: EventDraft[] = [runStarted('w')]
        const order: unknown[] = []
        for (let turn = 0; turn <= count; turn++) {
          const { decided, fold, keys } = decideOnce(step, { log })
          expect(fold.system.open.size).toBeLessThanOrEqual(concurrency)
          if (fold.system.terminal === undefined) order.push(...keys)
          log.push(...decided)
          const [oldest] = fold.system.open.keys()
          if (oldest !== undefined) log.push(succeeded(oldest))
        }
        expect(order).toEqual(Array.from({ length: count }, (_, n) => `k${n}`))
        expect(log.at(-1)?.type).toBe('Completed')
      }),
    )
  })

  test.for([0, -1, 1.5, Number.NaN])('%d is no concurrency', (concurrency) => {
    expect(() => decideOnce(() => all(five(), { concurrency }))).toThrow(
      expect.objectContaining(kernelError('INVALID_STEP')),
    )
  })
})

describe('when nothing new is wanted', () => {
  test('the run waits while a wanted key is open', () => {
    const log = [runStarted('w'), requested('a'), requested('b'), failed('a')]

    const { decided, more } = decideOnce(() => all([run('a'), run('b')]), { log })

    expect(decided).toEqual([])
    expect(more).toBe(false)
  })

  test('the run fails with the error of the first wanted key that failed, and drops what is open', () => {
    const log = [runStarted('w'), requested('a'), requested('b'), requested('c'), succeeded('a'), failed('b')]

    expect(decideOnce(() => all([run('a'), run('b')]), { log }).decided).toEqual([
      { type: 'ItemDropped', data: { key: 'c', outcome: 'unknown' } },
      { type: 'Failed', data: { error: { message: 'b broke', kind: 'permanent' }, by: 'kernel' } },
    ])
  })

  test('the step may go another way after a failure', () => {
    const log = [runStarted('w'), requested('a'), failed('a')]
    const step: Step = ({ results }) => (results['a']?.status === 'failed' ? run('b') : run('a'))

    expect(decideOnce(step, { log }).keys).toEqual(['b'])
  })

  test('no progress is made by wanting what is done, and the error names the keys and a remedy', () => {
    const log = [runStarted('w'), requested('a'), requested('b'), succeeded('a'), succeeded('b')]
    const deciding = (): unknown => decideOnce(() => all([run('a'), run('b')]), { log })

    expect(deciding).toThrow(expect.objectContaining(kernelError('NO_PROGRESS')))
    expect(deciding).toThrow(/\(a, b\); complete or fail, or give .* a key of its own/)
  })

  test.for<[what: string, answer: () => unknown]>([
    ['nothing', () => all([])],
    ['an emission of nothing', () => next.emit()],
  ])('no progress is made by wanting %s', ([, answer]) => {
    expect(() => decideOnce(answer)).toThrow(expect.objectContaining(kernelError('NO_PROGRESS')))
  })

  test('wanting nothing while something is open waits for it', () => {
    expect(decideOnce(() => all([]), { log: [runStarted('w'), requested('a')] }).decided).toEqual([])
  })
})

describe('denied actions', () => {
  const deny = (denied: string) => (key: string) =>
    key === denied ? { policy: 'guard', reason: `${key} is forbidden` } : undefined

  test('a denial is recorded in place of the request, and the step is asked again', () => {
    const step: Step = ({ results }) => (results['a']?.status === 'denied' ? next.complete(results['a']) : run('a', 1))

    const { decided } = decideOnce(step, { deny: deny('a') })

    const error = { code: 'ACTION_DENIED', kind: 'permanent', message: 'guard: a is forbidden' }
    expect(decided).toEqual([
      {
        type: 'ActionDenied',
        data: { key: 'a', action: 'act', input: 1, policy: 'guard', reason: 'a is forbidden' },
      },
      { type: 'Completed', data: { output: { status: 'denied', error } } },
    ])
  })

  test('a step that insists on it fails the run', () => {
    const { decided } = decideOnce(() => run('a'), { deny: deny('a') })

    expect(decided.map(({ type }) => type)).toEqual(['ActionDenied', 'Failed'])
    expect(decided[1]?.data).toMatchObject({ by: 'kernel', error: { code: 'ACTION_DENIED' } })
  })

  test('the others of the same answer are opened', () => {
    const { decided } = decideOnce(() => all([run('a'), run('b'), run('c')]), { deny: deny('b') })

    expect(decided.map(({ type, data }) => [type, data['key']])).toEqual([
      ['ActionRequested', 'a'],
      ['ActionDenied', 'b'],
      ['ActionRequested', 'c'],
    ])
  })
})

describe('the end of a run', () => {
  test('whatever is open is dropped: unknown where it may have had an effect, as a child may, not started otherwise', () => {
    const error = { message: 'x', kind: 'transient' } as const
    const log = [
      runStarted('w'),
      requested('under way'),
      requested('resting'),
      event('ActionRequested', { key: 'refused', action: 'call', input: { n: 0 }, effect: 'at-most-once' }),
      event('ActionRequested', { key: 'never called', action: 'call', input: { n: 0 }, effect: 'idempotent' }),
      event('Interrupted', { key: 'asked', kind: 'ask', value: { text: 'ok?' } }),
      event('ChildStarted', { key: 'child', childRunId: 'c', workflow: 'w', input: {} }),
      event('ActionAttemptFailed', { key: 'resting', attempt: 1, error, retryAt: 9 }),
      event('ActionAttemptFailed', { key: 'refused', attempt: 1, error, retryAt: 9 }),
      event('ActionAttemptAbandoned', { key: 'never called', attempt: 1, notExecuted: 'LEASE_LOST' }),
    ]

    expect(decideOnce(() => next.complete({ ok: true }), { log }).decided).toEqual([
      { type: 'ItemDropped', data: { key: 'under way', outcome: 'unknown' } },
      { type: 'ItemDropped', data: { key: 'resting', outcome: 'unknown' } },
      { type: 'ItemDropped', data: { key: 'refused', outcome: 'not started' } },
      { type: 'ItemDropped', data: { key: 'never called', outcome: 'not started' } },
      { type: 'ItemDropped', data: { key: 'asked', outcome: 'not started' } },
      { type: 'ItemDropped', data: { key: 'child', outcome: 'unknown' } },
      { type: 'Completed', data: { output: { ok: true } } },
    ])
  })

  test('a step may fail with a text, or with a text and a code', () => {
    expect(decideOnce(() => next.fail('too late')).decided).toEqual([
      { type: 'Failed', data: { error: { message: 'too late', kind: 'permanent' }, by: 'step' } },
    ])
    expect(decideOnce(() => next.fail({ message: 'too late', code: 'LATE' })).decided).toEqual([
      { type: 'Failed', data: { error: { message: 'too late', kind: 'permanent', code: 'LATE' }, by: 'step' } },
    ])
  })

  test('an output that is undefined is recorded as null', () => {
    expect(decideOnce(() => next.complete(undefined)).decided).toEqual([{ type: 'Completed', data: { output: null } }])
  })

  test('an output that JSON cannot keep is refused with its path', () => {
    expect(() => decideOnce(() => next.complete({ at: new Date(0) }))).toThrow(
      expect.objectContaining({ code: 'NOT_JSON', where: within({ path: 'Completed.output.at' }) }),
    )
  })
})

describe('actions about which nobody is asked', () => {
  /** What is decided, or what is wrong with it and where. */
  function outcome(step: Step, unasked: boolean): unknown {
    try {
      return decideOnce(step, { labels: { tool: 'hammer' }, unasked }).decided
    } catch (error) {
      return error
    }
  }

  test.for<[what: string, key: string, action: string, input: unknown]>([
    ['an input', 'a', 'act', { b: [1, { c: null }], a: 'x' }],
    ['no input', 'a', 'act', undefined],
    ['an input that JSON cannot keep', 'a', 'act', { at: new Date(0) }],
    ['half a surrogate pair', 'a', 'act', ['\ud800']],
    ['an input that is too large', 'a', 'act', 'x'.repeat(defaultLimits.bodyBytes)],
    ['an unknown action', 'a', 'fly', 1],
    ['an action called after a property of every object', 'a', 'constructor', 1],
    ['a key with a line break', 'a\nb', 'act', 1],
  ])('are requested and refused as all others are: %s', ([, key, action, input]) => {
    const step: Step = () => next.run(action, input, { key })

    const decided = outcome(step, true)

    expect(decided).toEqual(outcome(step, false))
  })
})

describe('events of the workflow', () => {
  test('state updates and declared events are written, payloads as their schema returns them', () => {
    const step: Step = ({ results }) => (results['a'] === undefined ? run('a') : next.complete(null))
    let emitted = false
    const emitting: Step = (...args) => {
      if (emitted) return step(...args)
      emitted = true
      return next.emit(
        { type: 'StateUpdated', payload: { n: 1 }, stepId: 's1' },
        { type: 'DomainEvent', name: 'moved', payload: { to: ' Berlin ' } },
      )
    }

    expect(decideOnce(emitting).decided.slice(0, 2)).toEqual([
      { type: 'StateUpdated', data: { payload: { n: 1 }, stepId: 's1' } },
      { type: 'DomainEvent', data: { name: 'moved', payload: { to: 'Berlin' } } },
    ])
  })

  test.for<[what: string, emitted: unknown]>([
    ['an event of the kernel', { type: 'ActionSucceeded', key: 'a', output: 1, attempts: 1 }],
    ['an end', { type: 'Completed', output: null }],
    ['an event of no type', { payload: 1 }],
    ['a domain event that is not declared', { type: 'DomainEvent', name: 'flown', payload: {} }],
    [
      'a domain event called after a property of every object',
      { type: 'DomainEvent', name: 'constructor', payload: {} },
    ],
    ['a payload that fails its schema', { type: 'DomainEvent', name: 'moved', payload: { to: 1 } }],
    ['null', null],
    ['a step id that is no text', { type: 'StateUpdated', payload: 1, stepId: 1 }],
  ])('%s cannot be emitted', ([, emitted]) => {
    expect(() => decideOnce(() => next.emit(emitted))).toThrow(expect.objectContaining(kernelError('INVALID_STEP')))
  })

  test('a payload that is undefined is refused with its path', () => {
    expect(() => decideOnce(() => next.emit({ type: 'StateUpdated', payload: undefined }))).toThrow(
      expect.objectContaining({ code: 'NOT_JSON', where: within({ path: 'StateUpdated.payload' }) }),
    )
  })
})

describe('a step that answers what is no decision', () => {
  const bare = { kind: 'action', key: 'a', action: 'act', input: 1 } as ItemRequest

  test.for<[what: string, answer: unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['text', 'complete'],
    ['a function', () => next.complete(1)],
    ['an object of another kind', { kind: 'sleep', ms: 1 }],
    ['a request without its wrapping', bare],
    ['a list of requests', [run('a')]],
    ['a promise', Promise.resolve(next.complete(1))],
    ['requests without a list', { kind: 'requests' }],
    ['a group with nothing in it that is a request', { kind: 'requests', of: [undefined] }],
    ['a group with an end in it', { kind: 'requests', of: [next.complete(1)] }],
    ['an emission without a list', { kind: 'emit' }],
    ['a failure without a reason', { kind: 'fail' }],
    ['a failure with a code that is no text', { kind: 'fail', error: { message: 'x', code: 1 } }],
    ['a successor of a version that is no text', { kind: 'continue', input: 1, version: 5 }],
    [
      'a child of a version that is no text',
      { kind: 'requests', of: [{ kind: 'child', key: 'c', workflow: 'w', input: 1, version: 5 }] },
    ],
  ])('%s is refused', ([, answer]) => {
    expect(() => decideOnce(() => answer)).toThrow(expect.objectContaining(kernelError('INVALID_STEP')))
  })

  test('a promise that fails is refused, and ends no process as an unhandled rejection', () => {
    expect(() => decideOnce(() => Promise.reject(new Error('x')))).toThrow(
      expect.objectContaining(kernelError('INVALID_STEP')),
    )
  })

  test('an unknown action is refused, and the error names those that there are', () => {
    const deciding = (): unknown => decideOnce(() => run('a', 1, 'toString'))

    expect(deciding).toThrow(expect.objectContaining({ ...kernelError('UNKNOWN_ACTION'), where: within({ key: 'a' }) }))
    expect(deciding).toThrow(/there are act, pure/)
  })

  test('an open action that is no longer defined is refused when it is asked for again', () => {
    const log = [runStarted('w'), requested('a', 1, 'former')]

    expect(() => decideOnce(() => run('a', 1, 'former'), { log })).toThrow(
      expect.objectContaining({ ...kernelError('UNKNOWN_ACTION'), where: within({ key: 'a' }) }),
    )
  })

  test('an unknown interrupt is refused', () => {
    expect(() => decideOnce(() => next.interrupt('hasOwnProperty', {}))).toThrow(
      expect.objectContaining(kernelError('INVALID_STEP')),
    )
  })

  test('a question that fails its schema is refused with its path', () => {
    expect(() => decideOnce(() => next.interrupt('ask', { text: 1 }))).toThrow(
      expect.objectContaining({ ...kernelError('INVALID_STEP'), where: within({ path: 'the question of ask.text' }) }),
    )
  })

  test.for(['', 'x'.repeat(201), 'a\nb', 1])('%j is no key', (key) => {
    expect(() => decideOnce(() => run(key as string))).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  test('an input that JSON cannot keep is refused with its path', () => {
    const deciding = (): unknown => decideOnce(() => next.run('act', { when: new Date(0) }, { key: 'a' }))

    expect(deciding).toThrow(expect.objectContaining({ code: 'NOT_JSON', where: within({ path: 'input of a.when' }) }))
  })

  test('a step that throws is named with what it threw as the cause', () => {
    const cause = new TypeError('no such thing')
    const deciding = (): unknown =>
      decideOnce(() => {
        throw cause
      })

    expect(deciding).toThrow(expect.objectContaining({ ...kernelError('STEP_FAILED'), cause }))
    expect(deciding).toThrow(/the step of w@1 threw: no such thing/)
  })
})
