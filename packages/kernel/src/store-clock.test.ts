import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { offsetAfter, storeClock } from './store-clock.ts'
import { manualClock } from './testing/manual-clock.ts'

/** A machine whose clock differs from the store's, both told in whole milliseconds. */
const skews = fc.double({ min: -1e7, max: 1e7, noNaN: true })

/** When a call is made, how long its way to the store takes, and how long the way back. */
const calls = fc.array(
  fc.record({
    at: fc.double({ min: 1e12, max: 2e12, noNaN: true }),
    thereMs: fc.double({ min: 0, max: 5000, noNaN: true }),
    backMs: fc.double({ min: 0, max: 5000, noNaN: true }),
  }),
  { minLength: 1, maxLength: 20 },
)

function sampleOf(skew: number, { at, thereMs, backMs }: { at: number; thereMs: number; backMs: number }) {
  const answeredAt = at + thereMs + backMs
  const storeNow = Math.floor(at + thereMs + skew)
  return { storeNow, machineNow: Math.floor(answeredAt), tookMs: thereMs + backMs }
}

describe('what a look at the store’s clock says of the difference between the clocks', () => {
  test('is known as well as the call was quick', () => {
    fc.assert(
      fc.property(skews, calls, fc.integer({ min: -1e7, max: 1e7 }), (skew, all, first) => {
        let offset = first
        for (const call of all) {
          offset = offsetAfter(offset, sampleOf(skew, call))
          expect(Math.abs(offset - skew)).toBeLessThanOrEqual(call.thereMs + call.backMs + 3)
        }
      }),
    )
  })

  test('never makes worse what was known', () => {
    fc.assert(
      fc.property(skews, calls, fc.integer({ min: -1e7, max: 1e7 }), (skew, all, first) => {
        let offset = first
        for (const call of all) {
          const next = offsetAfter(offset, sampleOf(skew, call))
          expect(Math.abs(next - skew)).toBeLessThanOrEqual(Math.abs(offset - skew) + 1e-3)
          offset = next
        }
      }),
    )
  })

  test('leaves clocks that agree as they are, and the difference whole', () => {
    fc.assert(
      fc.property(calls, (all) => {
        for (const call of all) expect(offsetAfter(0, sampleOf(0, call))).toBe(0)
      }),
    )
    fc.assert(
      fc.property(skews, calls, (skew, all) => {
        for (const call of all) expect(offsetAfter(0, sampleOf(skew, call))).toSatisfy(Number.isInteger)
      }),
    )
  })
})

/** A machine's clock that can be set, and a store's that goes its own way. */
function clocks({ skewMs = 0 } = {}) {
  const machine = manualClock()
  let setByMs = 0
  let storeByMs = skewMs
  let asked = 0
  const storeNow = (): number => machine.now() + storeByMs
  const clock = storeClock({ ...machine, now: () => machine.now() + setByMs }, async () => {
    asked++
    return storeNow()
  })
  return {
    ...{ machine, clock, storeNow, asked: () => asked },
    set: (ms: number) => void (setByMs += ms),
    setStore: (ms: number) => void (storeByMs += ms),
  }
}

describe('the clock of a store', () => {
  test.for([60_000, -60_000])(
    'is that of the machine until it was heard, and then %d ms away from it',
    async (skewMs) => {
      const { clock, machine, storeNow } = clocks({ skewMs })
      const before = clock.now()

      await clock.check()
      const after = clock.now()

      expect(before).toBe(machine.now())
      // The nearest that a look at clocks of whole milliseconds allows.
      expect(Math.abs(after - storeNow())).toBeLessThanOrEqual(1)
    },
  )

  test('is asked for once in a minute, and by all who ask at once together', async () => {
    const { clock, machine, asked } = clocks()

    await Promise.all([clock.check(), clock.check()])
    await machine.advance(59_999)
    await clock.check()
    const before = asked()
    await machine.advance(1)
    await clock.check()

    expect([before, asked()]).toEqual([1, 2])
  })

  test('need not be asked for while claims tell it', async () => {
    const { clock, machine, storeNow, asked } = clocks({ skewMs: 5000 })
    const askedAt = clock.monotonic()
    await machine.advance(30)

    clock.noted(storeNow(), askedAt)
    await clock.check()

    expect(asked()).toBe(0)
    expect(Math.abs(clock.now() - storeNow())).toBeLessThanOrEqual(31)
  })

  test.for([3_600_000, -3_600_000])('goes on as before when that of the machine is set by %d ms', async (ms) => {
    const { clock, set, machine, storeNow, asked } = clocks()
    await clock.check()
    await machine.advance(10_000)

    set(ms)
    const setAt = clock.now()
    await machine.advance(500)
    const later = clock.now() - setAt
    await clock.check()

    expect(setAt).toBe(storeNow() - 500)
    expect(later).toBe(500)
    // A machine that slept would be behind: the store is asked before anything is written.
    expect(asked()).toBe(2)
    expect(clock.now()).toBe(storeNow())
  })

  test.for([3_600_000, -3_600_000])(
    'tells since when it goes by a machine whose clock was set by %d ms',
    async (ms) => {
      const { clock, set, machine } = clocks()
      await clock.check()
      const before = clock.setAt()
      await machine.advance(10_000)

      set(ms)
      const found = clock.setAt()
      await machine.advance(500)

      expect([before, found, clock.setAt()]).toEqual([-Infinity, 10_000, 10_000])
    },
  )

  test('stands still, and does not go back, for what it was told too far ahead', async () => {
    const { clock, machine, setStore, storeNow } = clocks()
    await clock.check()
    const before = clock.now()
    setStore(-400)

    clock.noted(storeNow(), clock.monotonic())
    const after = clock.now()
    await machine.advance(1000)

    expect(after).toBe(before)
    expect(Math.abs(clock.now() - storeNow())).toBeLessThanOrEqual(1)
  })

  test('goes back with that of the store when it would have to stand still for long', async () => {
    const { clock, setStore, storeNow } = clocks()
    await clock.check()
    clock.now()
    setStore(-3_600_000)

    clock.noted(storeNow(), clock.monotonic())

    expect(Math.abs(clock.now() - storeNow())).toBeLessThanOrEqual(1)
  })

  test('is asked again after asking failed, which is told', async () => {
    let fails = true
    const machine = manualClock()
    const clock = storeClock(machine, async () => {
      if (fails) throw new Error('no answer')
      return machine.now() + 60_000
    })

    const failing = clock.check()
    await expect(failing).rejects.toThrow('no answer')
    fails = false
    await clock.check()

    expect(clock.now() - machine.now()).toBeGreaterThan(59_000)
  })
})
