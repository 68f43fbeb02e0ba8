import { expect, test } from 'vitest'
import { dayStatistics, hourStatistics, type DayStatistics } from '../flights/hour-statistics.ts'
import { drawChart } from './charts.ts'
import { chartNames } from './drawing.ts'
import { withOrigin, type ReportOrigin } from './origin.ts'
import { reportPage, type Charts } from './report-page.ts'

const origin: ReportOrigin = {
  ...{ runId: 'r<1>', dataset: 'a & b.json', data: `sha256:${'0'.repeat(64)}`, flights: 2400 },
  ...{ head: 54, headHash: 'ab'.repeat(32), publishedAt: 0, approvedBy: 'me' },
}

/** Flights in every hour but the one after midnight. */
const dayOf = (since: number, perHour = 120): DayStatistics => {
  const hours = Array.from({ length: 24 - since }, (_, i) => {
    const hour = since + i
    const flights = Array.from({ length: hour === 0 ? 0 : perHour }, (_unused, flight) => flight)
    const delays = flights.map((flight) => (flight % 40) - 10 + hour)
    return hourStatistics({ hour, delays, distances: flights.map((flight) => flight * 25) })
  })
  return dayStatistics(since, hours)
}

async function pageOf(day: DayStatistics): Promise<string> {
  const drawn = await Promise.all(chartNames.map(async (name) => [name, await drawChart(name, day)] as const))
  return reportPage(day, Object.fromEntries(drawn) as Charts)
}

test('draws every chart and a row for every hour', async () => {
  const page = await pageOf(dayOf(0))

  expect(page.match(/<svg /g)).toHaveLength(5)
  expect(page.match(/<th scope="row">\d\d:00/g)).toHaveLength(24)
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})

test('is the same to the byte when it is made again', async () => {
  expect(await pageOf(dayOf(0))).toBe(await pageOf(dayOf(0)))
})

test('of the end of a day says so, and has no rows of the hours before', async () => {
  const page = await pageOf(dayOf(18))

  expect(page).toContain('that left at 18:00 or later')
  expect(page.match(/<th scope="row">\d\d:00/g)).toHaveLength(6)
  expect(await pageOf(dayOf(0))).not.toContain('or later')
})

test('says below it where it comes from, with nothing from outside taken for markup', async () => {
  const page = await pageOf(dayOf(0))

  const published = withOrigin(page, { ...origin, approvedBy: "$' <script>" })

  expect(published).not.toContain('<script>')
  for (const text of ['r&lt;1&gt;', 'a &amp; b.json', origin.data, origin.headHash, 'event 54', "$' &lt;script&gt;"])
    expect(published).toContain(text)
  expect(published.replace(/<footer>.*<\/footer>\n/s, '')).toBe(page)
})

test('can be made of a day without flights', async () => {
  expect(await pageOf(dayOf(0, 0))).not.toMatch(/NaN|undefined|Infinity/)
})
