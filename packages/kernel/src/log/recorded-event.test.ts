import { canonicalJson, chainHash, genesis, type StoredEvent } from '@varve/store'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { frozen } from '../stepper/frozen.ts'
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

    test('is like one that was parsed: it can be read, spread, copied and written', () => {
      const parsed = new RecordedEvent(genesis('r'), forged({ type: 'ActionRequested', body })).event

      expect(unread(body)).toStrictEqual(parsed)
      expect(isDeepStrictEqual(unread(body), parsed)).toBe(true)
      expect(canonicalJson(unread(body).data)).toBe(body)
      expect(JSON.stringify(unread(body).data)).toBe(body)
      expect({ ...unread(body).data }).toStrictEqual(parsed.data)
      expect(structuredClone(unread(body).data)).toStrictEqual(parsed.data)
      expect(new Proxy(unread(body).data, {})).toHaveProperty('input', { cents: [1, 2] })
      expect(frozen(unread(body).data)).toHaveProperty('input', { cents: [1, 2] })
      expect(JSON.parse(JSON.stringify(unread(body)))).toStrictEqual(parsed)
    })

    test('has one input, which is parsed once', () => {
      const { data } = unread(body) as Extract<LogEvent, { type: 'ActionRequested' }>
      const { input } = data

      expect(data.input).toBe(input)
      expect(Object.getOwnPropertyDescriptor(data, 'input')).toHaveProperty('value', input)
    })

    test('is checked as a whole when somebody asks for its input', () => {
      const more = unread('{"action":"act","effect":"pure","input":1,"junk":2,"key":"k"}')
      const broken = unread('{"action":"act","effect":"pure","input":[,"key":"k"}')

      expect(more.data).toMatchObject({ key: 'k', action: 'act' })
      expect(() => ({ ...more.data })).toThrow(expect.objectContaining(kernelError('INVALID_LOG')))
      expect(() => ({ ...broken.data })).toThrow(expect.objectContaining({ code: 'CORRUPT_LOG' }))
    })
  })
})
