import { clockTime } from '../flights/flight.ts'
import {
  LATE_AFTER_MINUTES,
  lateShare,
  meanDelay,
  type DayStatistics,
  type HourStatistics,
} from '../flights/hour-statistics.ts'
import { ENOUGH_FLIGHTS, type ChartName } from './drawing.ts'
import { count, decimal, minutes, percent } from './numbers.ts'
import { pageStyle } from './page-style.ts'

/** The drawings of a report, as SVG elements. */
export type Charts = Readonly<Record<ChartName, string>>

/** The report as one HTML page that needs nothing beside it. It depends on the statistics alone. */
export function reportPage(day: DayStatistics, charts: Charts): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>When flights run late</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<header>
<h1>When flights run late</h1>
<p class="lead">${lead(day)}</p>
</header>
${keyFigures(day)}
${figures(charts, day)}
${hourTable(day)}
</main>
</body>
</html>
`
}

function lead({ since, hours, total }: DayStatistics): string {
  const [best, worst] = extremes(hours)
  const which = since === 0 ? '' : ` that left at ${clockTime(since)} or later`
  const text = `Of ${count(total.flights)} flights in the United States${which}, ${percent(lateShare(total))} arrived more than ${LATE_AFTER_MINUTES} minutes late.`
  if (best === undefined || worst === undefined) return text
  return `${text} It pays to leave early: of those that took off between ${hourSpan(best)}, ${percent(lateShare(best))} were late, between ${hourSpan(worst)} it was ${percent(lateShare(worst))}.`
}

/** The hours with the smallest and the largest share of late flights, among those with enough of them to tell. */
function extremes(hours: readonly HourStatistics[]): readonly (HourStatistics | undefined)[] {
  const busy = hours.filter(({ flights }) => flights >= 1000)
  const sorted = busy.toSorted((a, b) => (lateShare(a) ?? 0) - (lateShare(b) ?? 0))
  return [sorted[0], sorted.at(-1)]
}

function keyFigures({ hours, total }: DayStatistics): string {
  const busiest = hours.toSorted((a, b) => b.flights - a.flights)[0]
  const figures = [
    [count(total.flights), 'flights'],
    [`${decimal(meanDelay(total))} min`, 'mean delay on arrival'],
    [percent(lateShare(total)), `more than ${LATE_AFTER_MINUTES} min late`],
    [busiest === undefined ? '–' : clockTime(busiest.hour), 'busiest hour'],
  ]
  const items = figures.map(([value, name]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`)
  return `<dl class="figures">${items.join('')}</dl>`
}

function figures(charts: Charts, { hours }: DayStatistics): string {
  const sparse = hours.filter(({ flights }) => flights < ENOUGH_FLIGHTS).map(({ hour }) => clockTime(hour))
  const left =
    sparse.length === 0 ? '' : ` Left out, with fewer than ${ENOUGH_FLIGHTS} flights each: ${sparse.join(', ')}.`
  return `<section>
${figure('Delay on arrival, by hour of departure', charts.delayByHour, `Mean and median; the shaded band holds the middle half of all flights. The hour is the one in which a flight really left, so late ones of the evening before turn up in the small hours.${left}`)}
<div class="pair">
${figure('Share of late flights', charts.lateByHour, `More than ${LATE_AFTER_MINUTES} minutes after the scheduled arrival, by hour of departure.`)}
${figure('Number of flights', charts.flightsByHour, 'Departures in each hour of the day.')}
</div>
<div class="pair">
${figure('Mean delay, by distance in miles', charts.delayByDistance, 'Minutes on arrival, all hours together.')}
${figure('Share of late flights, by distance in miles', charts.lateByDistance, `More than ${LATE_AFTER_MINUTES} minutes late, all hours together.`)}
</div>
</section>`
}

function figure(title: string, svg: string, caption: string): string {
  return `<figure><h2>${title}</h2>${svg}<figcaption>${caption}</figcaption></figure>`
}

function hourTable({ hours }: DayStatistics): string {
  const head = ['Hour', 'Flights', 'Mean delay', 'Median', 'Middle half', 'Late', 'Share late']
  const rows = hours.map((statistics) => {
    const { hour, flights, median, lowerQuartile, upperQuartile, late } = statistics
    const middle = lowerQuartile === null ? '–' : `${minutes(lowerQuartile)} to ${minutes(upperQuartile)}`
    const cells = [count(flights), decimal(meanDelay(statistics)), minutes(median), middle, count(late)]
    return `<tr><th scope="row">${clockTime(hour)}</th>${[...cells, percent(lateShare(statistics))].map((cell) => `<td>${cell}</td>`).join('')}</tr>`
  })
  return `<section><h2>Every hour</h2><table>
<thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table><p class="note">Delays in minutes; below zero is ahead of time.</p></section>`
}

function hourSpan({ hour }: HourStatistics): string {
  return `${clockTime(hour)} and ${clockTime((hour + 1) % 24)}`
}
