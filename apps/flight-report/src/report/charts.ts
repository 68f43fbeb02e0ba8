import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import { clockTime } from '../flights/flight.ts'
import {
  BAND_STARTS,
  lateShare,
  meanDelay,
  type DayStatistics,
  type DelayTotals,
  type HourStatistics,
} from '../flights/hour-statistics.ts'
import { colors, ENOUGH_FLIGHTS, type ChartName } from './drawing.ts'

/** Draws what the statistics say, as an SVG element. The same statistics give the same bytes. */
export async function drawChart(name: ChartName, { hours, bands }: DayStatistics): Promise<string> {
  const byHour = hours.map(hourRow)
  const byDistance = bands.map(bandRow)
  switch (name) {
    case 'delayByHour':
      return draw(delayByHour(byHour))
    case 'lateByHour':
      return draw(barsByHour(byHour, { field: 'late', format: '.0%', color: colors.warm }))
    case 'flightsByHour':
      return draw(barsByHour(byHour, { field: 'flights', format: ',d', color: colors.accent }))
    case 'delayByDistance':
      return draw(barsByBand(byDistance, { field: 'mean', format: '.1f', color: colors.accent }))
    case 'lateByDistance':
      return draw(barsByBand(byDistance, { field: 'late', format: '.1%', color: colors.warm }))
  }
}

interface HourRow {
  readonly hour: string
  readonly flights: number
  readonly late: number | null
  readonly mean: number | null
  readonly median: number | null
  readonly lowerQuartile: number | null
  readonly upperQuartile: number | null
}

interface BandRow {
  readonly band: string
  readonly late: number | null
  readonly mean: number | null
}

/** What too few flights say is left out: null is a gap in the chart. */
function hourRow(statistics: HourStatistics): HourRow {
  const { flights } = statistics
  const hour = clockTime(statistics.hour)
  if (flights < ENOUGH_FLIGHTS) {
    return { hour, flights, late: null, mean: null, median: null, lowerQuartile: null, upperQuartile: null }
  }
  const { median, lowerQuartile, upperQuartile } = statistics
  return {
    hour,
    flights,
    late: lateShare(statistics),
    mean: meanDelay(statistics),
    median,
    lowerQuartile,
    upperQuartile,
  }
}

function bandRow(totals: DelayTotals, band: number): BandRow {
  return { band: bandName(band), mean: meanDelay(totals), late: lateShare(totals) }
}

/** A distance band as people write it: `500–999`. */
function bandName(band: number): string {
  const from = (BAND_STARTS[band] ?? 0).toLocaleString('en-US')
  const next = BAND_STARTS[band + 1]
  return next === undefined ? `${from} and more` : `${from}–${(next - 1).toLocaleString('en-US')}`
}

const hourDomain = Array.from({ length: 24 }, (_, hour) => clockTime(hour))

const hourAxis = {
  field: 'hour',
  type: 'ordinal',
  scale: { domain: hourDomain },
  title: null,
  axis: {
    labelAngle: 0,
    labelOverlap: true,
    labelExpr: "toNumber(slice(datum.value, 0, 2)) % 3 == 0 ? datum.value : ''",
  },
} as const

function delayByHour(rows: readonly HourRow[]): TopLevelSpec {
  const y = (field: keyof HourRow) => ({ field, type: 'quantitative', title: 'minutes' }) as const
  const gaps = 'break-paths-show-domains'
  const line = (field: keyof HourRow) =>
    ({
      mark: { type: 'line', point: { size: 36 }, strokeWidth: 2.5, invalid: gaps },
      encoding: { y: y(field), color: { datum: field } },
    }) as const
  const middleHalf = { y: y('lowerQuartile'), y2: { field: 'upperQuartile' } } as const
  return {
    ...sized(860, 320),
    data: { values: [...rows] },
    encoding: {
      x: hourAxis,
      color: {
        type: 'nominal',
        scale: { domain: ['mean', 'median'], range: [colors.warm, colors.accent] },
        legend: { title: null, orient: 'top', symbolType: 'stroke', symbolStrokeWidth: 3 },
      },
    },
    layer: [
      { mark: { type: 'area', opacity: 0.16, color: colors.accent, invalid: gaps }, encoding: middleHalf },
      // A layer of its own data: one rule, not one per row.
      {
        data: { values: [{}] },
        mark: { type: 'rule', color: colors.muted, strokeDash: [3, 3] },
        encoding: { x: { value: 0 }, x2: { value: 'width' }, y: { datum: 0 } },
      },
      line('mean'),
      line('median'),
    ],
  }
}

interface Bars<Field> {
  readonly field: Field
  /** As d3-format has it. */
  readonly format: string
  readonly color: string
}

function barsByHour(rows: readonly HourRow[], { field, format, color }: Bars<'late' | 'flights'>): TopLevelSpec {
  return {
    ...sized(400, 240),
    data: { values: [...rows] },
    mark: { type: 'bar', color },
    encoding: { x: hourAxis, y: { field, type: 'quantitative', title: null, axis: { format, tickCount: 5 } } },
  }
}

function barsByBand(rows: readonly BandRow[], { field, format, color }: Bars<'late' | 'mean'>): TopLevelSpec {
  const values = rows.map((row) => row[field] ?? 0)
  // Room for the numbers at the ends of the bars.
  const domain = [Math.min(0, ...values), Math.max(0, ...values) * 1.2]
  return {
    ...sized(400, 240),
    data: { values: [...rows] },
    encoding: {
      y: { field: 'band', type: 'ordinal', sort: null, title: null, axis: { ticks: false, labelPadding: 8 } },
      x: { field, type: 'quantitative', title: null, axis: null, scale: { domain, nice: false } },
    },
    layer: [
      { mark: { type: 'bar', color } },
      {
        mark: { type: 'text', align: 'left', dx: 6, color: colors.ink },
        encoding: { text: { field, type: 'quantitative', format } },
      },
    ],
  }
}

/** All of a chart, its axes included, in so many pixels: charts side by side line up. */
function sized(width: number, height: number) {
  return { width, height, autosize: { type: 'fit', contains: 'padding' } } as const
}

async function draw(spec: TopLevelSpec): Promise<string> {
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
  const axis = { labelColor: colors.muted, titleColor: colors.muted, labelFontSize: 12, titleFontSize: 12 }
  const config = {
    font: font.replaceAll('"', "'"),
    background: 'transparent',
    view: { stroke: null },
    axis: {
      ...axis,
      titleFontWeight: 'normal',
      gridColor: colors.line,
      domainColor: colors.line,
      tickColor: colors.line,
    },
    axisX: { grid: false },
    legend: { labelFontSize: 13, labelColor: colors.ink },
    text: { fontSize: 12 },
  } as const
  const { spec: compiled } = compile({ ...spec, config })
  const view = new View(parse(compiled), { renderer: 'none' })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}
