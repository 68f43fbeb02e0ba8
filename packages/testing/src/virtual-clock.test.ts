import { expect, test } from 'vitest'
import { virtualClock } from './virtual-clock.ts'

test('stands still until it is told to go on', () => {
  const clock = virtualClock(1000)

  clock.advance(250)

  expect(clock.now()).toBe(1250)
  expect(clock.monotonic()).toBe(250)
})

test('calls what falls due on the way in order of its time, and what that schedules', () => {
  const clock = virtualClock(0)
  const called: [string, number][] = []
  const call = (name: string) => () => called.push([name, clock.now()])
  clock.schedule(30, call('late'))
  clock.schedule(10, () => {
    call('early')()
    clock.schedule(5, call('next'))
  })
  clock.schedule(500, call('never'))

  clock.advance(100)

  expect(called).toEqual([
    ['early', 10],
    ['next', 15],
    ['late', 30],
  ])
  expect(clock.now()).toBe(100)
  expect(clock.timers).toBe(1)
})

test('skips to the next timer, and says when there is none', () => {
  const clock = virtualClock(0)
  clock.schedule(86_400_000, () => undefined)

  const skips = [clock.skip(), clock.skip()]

  expect(skips).toEqual([true, false])
  expect(clock.now()).toBe(86_400_000)
})

test('does not call what was canceled', () => {
  const clock = virtualClock(0)
  const timer = clock.schedule(10, () => expect.unreachable())

  timer.cancel()
  clock.advance(20)

  expect(clock.timers).toBe(0)
})

test('shows whole milliseconds, and calls nothing early', () => {
  const clock = virtualClock(0)
  clock.schedule(1000 / 3, () => undefined)

  clock.skip()

  expect(clock.now()).toBe(334)
})

test('starts at a whole millisecond, and never goes back', () => {
  const clock = virtualClock(0)
  const refused = /^INVALID_SCENARIO: /

  expect(() => clock.advance(-1)).toThrow(refused)
  expect(() => clock.advance(Number.NaN)).toThrow(refused)
  expect(() => virtualClock(Number.NaN)).toThrow(refused)
  expect(clock.now()).toBe(0)
})
