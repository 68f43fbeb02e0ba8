import { Cron } from 'croner'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MissedTicks } from './schedule.ts'
import { dueTicks, nextTick } from './ticks.ts'

const everyMinute = new Cron('* * * * *', { timezone: 'UTC', paused: true })
const noon = Date.UTC(2026, 0, 1, 12)
const minute = 60_000

function due(missed: MissedTicks, after: number, now: number, cron = everyMinute): readonly string[] {
  return dueTicks(cron, { missed, after, now }).map((tick) => tick.toISOString().slice(11, 19))
}

describe('ticks that are due', () => {
  test('are those after the last one that was seen to, up to now', () => {
    expect(due('skip', noon, noon + minute - 1)).toEqual([])
    expect(due('skip', noon, noon + minute)).toEqual(['12:01:00'])
    expect(due('skip', noon - 1, noon + minute - 1)).toEqual(['12:00:00'])
  })

  test('are all of the last minute, whatever becomes of missed ones', () => {
    const seconds = new Cron('*/20 * * * * *', { timezone: 'UTC', paused: true })

    for (const missed of ['skip', 'latest', 'all'] as const) {
      expect(due(missed, noon, noon + 50_000, seconds)).toEqual(['12:00:20', '12:00:40'])
    }
  })

  test('that were missed are skipped, made up for by the newest, or all made up for', () => {
    const now = noon + 5 * minute + 30_000
    const hourly = new Cron('*/2 * * * *', { timezone: 'UTC', paused: true })

    expect(due('skip', noon, now, hourly)).toEqual([])
    expect(due('latest', noon, now, hourly)).toEqual(['12:04:00'])
    expect(due('all', noon, now, hourly)).toEqual(['12:02:00', '12:04:00'])
  })

  test('make up for missed ones where one is due anyway', () => {
    expect(due('latest', noon, noon + 5 * minute)).toEqual(['12:05:00'])
    expect(due('all', noon, noon + 3 * minute)).toEqual(['12:01:00', '12:02:00', '12:03:00'])
  })

  test('are at most the newest thousand of those that were missed', () => {
    const ticks = dueTicks(everyMinute, { missed: 'all', after: noon, now: noon + 5000 * minute })

    expect(ticks).toHaveLength(1001)
    expect(ticks.at(-1)?.getTime()).toBe(noon + 5000 * minute)
    expect(ticks[0]?.getTime()).toBe(noon + 4000 * minute)
  })

  test('come once each, in order, however often one looks', () => {
    const cron = new Cron('*/7 * * * * *', { timezone: 'UTC', paused: true })
    const looks = fc.array(fc.integer({ min: 1, max: 55_000 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(looks, fc.constantFrom<MissedTicks>('skip', 'latest', 'all'), (waits, missed) => {
        const seen: number[] = []
        let now = noon
        for (const wait of waits) {
          const ticks = dueTicks(cron, { missed, after: now, now: now + wait })
          seen.push(...ticks.map((tick) => tick.getTime()))
          now += wait
        }
        const expected: number[] = []
        for (let at = nextTick(cron, noon); at !== undefined && at <= now; at = nextTick(cron, at)) expected.push(at)
        expect(seen).toEqual(expected)
      }),
    )
  })

  test('follow the clocks of a time zone through its changes', () => {
    const berlin = new Cron('30 2 * * *', { timezone: 'Europe/Berlin', paused: true })
    const march28 = Date.UTC(2026, 2, 28, 12)

    const ticks = dueTicks(berlin, { missed: 'all', after: march28, now: march28 + 3 * 24 * 60 * minute })

    // On March 29 there is no half past two: the run comes when the clocks are put forward, from two to three.
    expect(ticks.map((tick) => tick.toISOString())).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
      '2026-03-31T00:30:00.000Z',
    ])
  })
})
