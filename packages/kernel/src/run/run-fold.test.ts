import { chainHash, genesis, type StoredEvent } from '@varve/store'
import { expect, test } from 'vitest'
import { RecordedEvent } from '../log/recorded-event.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { Stepper } from '../stepper/stepper.ts'
import { applyEvent, applyRecorded, type RunFold } from './run-fold.ts'
import { emptySystem } from './system.ts'

/** A request with this text of an input, under a hash that fits. */
function requested(input: string): RecordedEvent {
  const body = `{"action":"act","effect":"pure","input":${input},"key":"k"}`
  const event = { runId: 'r', seq: 1, v: 1, type: 'ActionRequested', at: 1000, body }
  const stored: StoredEvent = { ...event, hash: chainHash(genesis('r').hash, event) }
  return new RecordedEvent(genesis('r'), stored)
}

/** @param ignores - what its stepper is not given. */
function foldNoting(applied: LogEvent[], ...ignores: LogEvent['type'][]): RunFold {
  const apply: Stepper['apply'] = (event) => {
    applied.push(event)
  }
  return foldWith({ apply, ignores: new Set(ignores) })
}

function foldWith(parts: Pick<Stepper, 'apply' | 'ignores'>): RunFold {
  const stepper: Stepper = {
    ...parts,
    want: () => ({ kind: 'requests', known: [], fresh: [] }),
    hold: () => () => null,
    load: () => undefined,
  }
  return { system: emptySystem('r'), stepper }
}

test('the input of a recorded request is read when somebody asks for it, where the stepper does not see requests', () => {
  const applied: LogEvent[] = []
  const fold = foldNoting(applied, 'ActionRequested')

  applyRecorded(fold, requested('{"n":[1,2]}'))

  expect(fold.system.open.get('k')).toMatchObject({ action: 'act', fingerprint: '{"n":[1,2]}' })
  expect(fold.system.open.get('k')).toHaveProperty('request.input', { n: [1, 2] })
  expect(applied).toEqual([])
})

test('an input that is no JSON is told then', () => {
  const fold = foldNoting([], 'ActionRequested')

  applyRecorded(fold, requested('{"n":[1,2}'))

  const item = fold.system.open.get('k')
  expect(() => item?.kind === 'action' && item.request.input).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }))
})

test('a stepper that sees requests is given them as they were recorded, as plain data', () => {
  const applied: LogEvent[] = []
  const fold = foldNoting(applied)

  applyRecorded(fold, requested('{"n":[1,2]}'))

  const data = { action: 'act', effect: 'pure', input: { n: [1, 2] }, key: 'k' }
  expect(applied).toStrictEqual([
    { seq: 1, type: 'ActionRequested', at: 1000, data, hash: expect.any(String) as string },
  ])
  expect(() => applyRecorded(foldNoting([]), requested('{"n":[1,2}'))).toThrow(
    expect.objectContaining({ code: 'CORRUPT_LOG' }),
  )
})

test('what a stepper ignores moves the system all the same, whether it was recorded or decided now', () => {
  const applied: LogEvent[] = []
  const fold = foldNoting(applied, 'ActionRequested', 'DomainEvent')
  const recorded = requested('1')

  applyRecorded(fold, recorded)
  applyEvent(fold, { seq: 2, type: 'DomainEvent', at: 1000, data: { name: 'n', payload: null }, hash: 'two' })
  applyEvent(fold, { seq: 3, type: 'StateUpdated', at: 1000, data: { payload: null }, hash: 'three' })

  expect(fold.system.end).toEqual({ seq: 3, hash: 'three' })
  expect(fold.system.open.has('k')).toBe(true)
  expect(applied.map(({ seq }) => seq)).toEqual([3])
})

test('one that is long is read at once, so that no part of its text keeps all of it in memory', () => {
  const long = 'x'.repeat(3000)
  const fold = foldNoting([], 'ActionRequested')

  applyRecorded(fold, requested(`"${long}"`))

  expect(fold.system.open.get('k')).toHaveProperty('request.input', long)
  expect(fold.system.open.get('k')?.fingerprint).toHaveLength(11)
  expect(() => applyRecorded(foldNoting([], 'ActionRequested'), requested(`"${long}`))).toThrow(
    expect.objectContaining({ code: 'CORRUPT_LOG' }),
  )
})

test('what an event closes is told by its name, whether or not its request was read', () => {
  const told: (string | undefined)[] = []
  const apply: Stepper['apply'] = (_, closed) => {
    told.push(closed)
  }
  const succeeded = { type: 'ActionSucceeded', data: { key: 'k', output: null, attempts: 1 } } as const

  for (const ignores of [[], ['ActionRequested']] as const) {
    const fold = foldWith({ apply, ignores: new Set<LogEvent['type']>(ignores) })
    applyRecorded(fold, requested('1'))
    applyEvent(fold, { ...succeeded, seq: 2, at: 1000, hash: 'two' })
  }

  expect(told).toEqual([undefined, 'act', 'act'])
})
