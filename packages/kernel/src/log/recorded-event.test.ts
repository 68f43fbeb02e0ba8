import { canonicalJson, chainHash, genesis, type StoredEvent } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { sealLog } from '../testing/sealed-log.ts'
import type { LogEvent } from './log-event.ts'
import { RecordedEvent } from './recorded-event.ts'
import { requestIn } from './request-text.ts'

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

  describe('of a request that was taken apart', () => {
    const body = '{"action":"act","effect":"pure","input":{"cents":[1,2]},"key":"k","tool":"t"}'
    const unread = (text: string): LogEvent => {
      const stored = forged({ type: 'ActionRequested', body: text })
      const request = requestIn(text)
      if (request === undefined) throw new Error('the text is not that of a request')
      return new RecordedEvent(genesis('r'), stored).requested(request)
    }

    const inputOf = ({ data }: LogEvent): unknown => 'input' in data && data.input

    test('says what it asks for, and has one input, which is parsed once', () => {
      const { data, ...frame } = unread(body) as Extract<LogEvent, { type: 'ActionRequested' }>
      const { input } = data

      expect(frame).toEqual({ seq: 1, type: 'ActionRequested', at: 1000, hash: expect.any(String) as string })
      expect(data).toMatchObject({ action: 'act', effect: 'pure', key: 'k', tool: 't', provider: undefined })
      expect(input).toEqual({ cents: [1, 2] })
      expect(data.input).toBe(input)
    })

    test('is nothing that could be written without its input', () => {
      expect(() => canonicalJson(unread(body).data)).toThrow(expect.objectContaining({ code: 'NOT_JSON' }))
    })

    test('is checked as a whole when somebody asks for its input', () => {
      const more = unread('{"action":"act","effect":"pure","input":1,"junk":2,"key":"k"}')
      const broken = unread('{"action":"act","effect":"pure","input":[,"key":"k"}')

      expect(more.data).toMatchObject({ key: 'k', action: 'act' })
      expect(() => inputOf(more)).toThrow(expect.objectContaining(kernelError('INVALID_LOG')))
      expect(() => inputOf(broken)).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }))
    })
  })
})
