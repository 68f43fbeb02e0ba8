import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from './clock.ts'

/** The timers of the platform, moved by hand. */
describe('the clock of this machine', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('calls once, when the time has come', () => {
    const calls: number[] = []
    systemClock.schedule(1000, () => calls.push(systemClock.now()))
    const began = systemClock.now()

    vi.advanceTimersByTime(999)
    const early = calls.length
    vi.advanceTimersByTime(5000)

    expect(early).toBe(0)
    expect(calls).toEqual([began + 1000])
  })

  test('does not call what was cancelled', () => {
    let called = false
    const timer = systemClock.schedule(1000, () => {
      called = true
    })

    timer.cancel()
    vi.advanceTimersByTime(5000)

    expect(called).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('keeps delays longer than the platform’s timers can', () => {
    const days60 = 60 * 24 * 3600 * 1000
    let called = false
    const timer = systemClock.schedule(days60, () => {
      called = true
    })
    timer.unref?.()

    vi.advanceTimersByTime(days60 - 1)
    const early = called
    vi.advanceTimersByTime(1)

    expect(early).toBe(false)
    expect(called).toBe(true)
  })

  test('its monotonic time moves with time', () => {
    const before = systemClock.monotonic()

    vi.advanceTimersByTime(250)

    expect(systemClock.monotonic() - before).toBe(250)
  })
})
