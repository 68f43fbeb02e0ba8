import { expect, test } from 'vitest'
import { hourStatistics, type HourStatistics } from '../flights/hour-statistics.ts'
import { reportPage } from './report-page.ts'

const origin = { runId: 'r<1>', dataset: 'a & b.json', head: 54, headHash: 'ab'.repeat(32), publishedAt: 0 }
const file = { hash: `sha256:${'0'.repeat(64)}`, flights: 2400 } as const

/** A day with flights in every hour but the one after midnight. */
const day: readonly HourStatistics[] = Array.from({ length: 24 }, (_, hour) =>
  hourStatistics(
    hour,
    Array.from({ length: hour === 0 ? 0 : 120 }, (_unused, flight) => ({
      delay: (flight % 40) - 10 + hour,
      distance: flight * 25,
      time: hour,
    })),
  ),
)

test('draws every chart and a row for every hour', async () => {
  const page = await reportPage({ file, hours: day, approvedBy: 'me' }, origin)

  expect(page.match(/<svg /g)).toHaveLength(5)
  expect(page.match(/<th scope="row">\d\d:00/g)).toHaveLength(24)
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

test('is the same but for its origin when it is made again', async () => {
  const content = { file, hours: day, approvedBy: 'me' }

  const first = await reportPage(content, origin)
  const again = await reportPage(content, { ...origin, runId: 'another', publishedAt: 1 })

  expect(mainOf(again)).toBe(mainOf(first))
})

test('escapes what comes from outside, and says where it comes from', async () => {
  const page = await reportPage({ file, hours: day, approvedBy: '<script>' }, origin)

  expect(page).not.toContain('<script>')
  for (const text of ['r&lt;1&gt;', 'a &amp; b.json', file.hash, origin.headHash, 'event 54'])
    expect(page).toContain(text)
})

test('can be made of a day without flights', async () => {
  const hours = Array.from({ length: 24 }, (_, hour) => hourStatistics(hour, []))

  const page = await reportPage({ file: { ...file, flights: 0 }, hours, approvedBy: null }, origin)

  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

function mainOf(page: string): string {
  return page.slice(page.indexOf('<main>'), page.indexOf('</main>'))
}
