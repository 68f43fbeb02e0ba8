import { chainHash, genesis, type StoredEvent } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { sealLog } from '../testing/sealed-log.ts'
import { RecordedEvent } from './recorded-event.ts'

const [sealed] = sealLog('r', [{ type: 'TimerFired', data: { key: 'nap' } }]) as [StoredEvent]

/** The event with something else in it, under a hash that fits. */
function forged(change: Partial<StoredEvent>): StoredEvent {
  const event = { ...sealed, ...change }
  return { ...event, hash: chainHash(genesis('r').hash, event) }
}

describe('a recorded event', () => {
  test('is checked to continue the log before anybody asks what it says', () => {
    expect(() => new RecordedEvent(genesis('other'), sealed)).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }))
    expect(() => new RecordedEvent({ ...genesis('r'), seq: 1 }, sealed)).toThrow(
      expect.objectContaining({ code: 'CORRUPT_LOG' }),
    )
    expect(() => new RecordedEvent(genesis('r'), forged({ type: 'Dreamed' }))).toThrow(
      expect.objectContaining({ code: 'NEWER_FORMAT' }),
    )
  })

  test('says what it holds', () => {
    const recorded = new RecordedEvent(genesis('r'), sealed)

    expect(recorded.event).toEqual({ seq: 1, type: 'TimerFired', at: 1000, data: { key: 'nap' }, hash: sealed.hash })
    expect(recorded.event).toBe(recorded.event)
  })

  test('is parsed when it is asked what it says, and not before', () => {
    const recorded = new RecordedEvent(genesis('r'), forged({ body: '{"key":' }))

    expect(recorded.type).toBe('TimerFired')
    expect(() => recorded.event).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }))
  })

  test('of another shape than its type has is refused with the place', () => {
    const recorded = new RecordedEvent(genesis('r'), forged({ body: '{"key":7}' }))

    expect(() => recorded.event).toThrow(
      expect.objectContaining({ ...kernelError('INVALID_LOG'), where: { runId: 'r', seq: 1, path: 'TimerFired.key' } }),
    )
  })
})
