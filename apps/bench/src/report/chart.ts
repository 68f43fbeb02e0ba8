import { BarChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { Summary } from './summary.ts'

use([BarChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])

const WIDTH = 900
const HEIGHT = 260

const programs: readonly string[] = ['varve', 'plain', 'plain, unsealed']

/** The figures that Varve and a plain program have in common, as an SVG: medians on a logarithmic axis. */
export function chartSvg(summaries: readonly Summary[]): string {
  const drawn = summaries.filter(({ program }) => programs.includes(program))
  const groups = Map.groupBy(drawn, ({ workload, figure }) => `${workload}: ${figure}`)
  const shared = [...groups].filter(([, group]) => new Set(group.map(({ program }) => program)).size > 1)
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT * shared.length + 60 })
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    legend: { data: [...programs], top: 10 },
    title: shared.map(([title], at) => ({ text: title, top: topOf(at), left: 20, textStyle: { fontSize: 14 } })),
    grid: shared.map((_, at) => ({ top: topOf(at) + 30, height: HEIGHT - 80, left: 80, right: 20 })),
    xAxis: shared.map(([, group], at) => ({ type: 'category', gridIndex: at, data: storesOf(group) })),
    yAxis: shared.map(([, group], at) => ({
      type: 'log',
      gridIndex: at,
      min: floorOf(group),
      startValue: floorOf(group),
    })),
    series: shared.flatMap(([, group], at) => seriesOf(group, at)),
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

function topOf(grid: number): number {
  return 60 + grid * HEIGHT
}

/** The power of ten below all of them: where bars begin. */
function floorOf(group: readonly Summary[]): number {
  return 10 ** Math.floor(Math.log10(Math.min(...group.map(({ median }) => median)) * 0.99))
}

function storesOf(group: readonly Summary[]): readonly string[] {
  return [...new Set(group.map(({ store }) => store))]
}

function seriesOf(group: readonly Summary[], grid: number): readonly object[] {
  return [...Map.groupBy(group, ({ program }) => program)].map(([name, measured]) => ({
    ...{ type: 'bar', name, xAxisIndex: grid, yAxisIndex: grid },
    data: storesOf(group).map((store) => measured.find((each) => each.store === store)?.median ?? null),
  }))
}
