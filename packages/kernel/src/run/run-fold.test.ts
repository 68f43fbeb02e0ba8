import { chainHash, genesis, type StoredEvent } from '@varve/store'
import { expect, test } from 'vitest'
import { RecordedEvent } from '../log/recorded-event.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { Stepper } from '../stepper/stepper.ts'
import { applyRecorded, type RunFold } from './run-fold.ts'
import { emptySystem } from './system.ts'

/** A request with this text of an input, under a hash that fits. */
function requested(input: string): RecordedEvent {
  const body = `{"action":"act","effect":"pure","input":${input},"key":"k"}`
  const event = { runId: 'r', seq: 1, v: 1, type: 'ActionRequested', at: 1000, body }
  const stored: StoredEvent = { ...event, hash: chainHash(genesis('r').hash, event) }
  return new RecordedEvent(genesis('r'), stored)
}

function foldNoting(applied: LogEvent[]): RunFold {
  const stepper: Stepper = {
    apply: (event) => {
      applied.push(event)
    },
    want: () => ({ kind: 'requests', known: [], fresh: [] }),
    hold: () => () => null,
    load: () => undefined,
  }
  return { system: emptySystem('r'), stepper }
}

test('the input of a recorded request is read when somebody asks for it', () => {
  const applied: LogEvent[] = []
  const fold = foldNoting(applied)

  applyRecorded(fold, requested('{"n":[1,2]}'))

  expect(fold.system.open.get('k')).toMatchObject({ action: 'act', fingerprint: '{"n":[1,2]}' })
  expect(fold.system.open.get('k')).toHaveProperty('request.input', { n: [1, 2] })
  expect(applied[0]?.data).toEqual({ action: 'act', effect: 'pure', input: { n: [1, 2] }, key: 'k' })
})

test('an input that is no JSON is told when somebody asks for it', () => {
  const fold = foldNoting([])

  applyRecorded(fold, requested('{"n":[1,2}'))

  const item = fold.system.open.get('k')
  expect(() => item?.kind === 'action' && item.request.input).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }))
})

test('one that is long is read at once, so that no part of its text keeps all of it in memory', () => {
  const long = 'x'.repeat(3000)
  const fold = foldNoting([])

  applyRecorded(fold, requested(`"${long}"`))

  expect(fold.system.open.get('k')).toHaveProperty('request.input', long)
  expect(fold.system.open.get('k')?.fingerprint).toHaveLength(22)
  expect(() => applyRecorded(foldNoting([]), requested(`"${long}`))).toThrow(
    expect.objectContaining({ code: 'CORRUPT_LOG' }),
  )
})
