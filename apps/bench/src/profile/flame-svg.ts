import { GraphicComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { StackFrame } from './call-tree.ts'

use([GraphicComponent, SVGRenderer])

const WIDTH = 1_400
const ROW = 18
const TOP = 34
const FONT = '11px monospace'

/** What is narrower, in pixels, is left out. */
const LEAST_WIDTH = 1
/** What is narrower, in pixels, has no name in it. */
const LEAST_NAMED = 30

/** For the packages in the order in which they appear. */
const colors = ['#e8a15c', '#e4c85f', '#8fbf71', '#6fb7b0', '#7fa5d8', '#b494cf', '#d88ba0', '#b5a58d', '#c9c9c9']

/** A flame graph: who calls stands below what it calls, as wide as the time that it took. */
export function flameSvg(root: StackFrame, title: string): string {
  const shown = boxesOf(root, { x: 0, depth: 0, scale: WIDTH / root.allUs })
  const height = TOP + ROW * (1 + Math.max(0, ...shown.map(({ depth }) => depth)))
  const packages = [...new Set(shown.map(({ frame }) => frame.package))]
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    graphic: [
      { type: 'text', style: { text: title, x: 10, y: 10, font: '14px sans-serif' } },
      ...shown.map(({ frame, x, depth, width }) => ({
        type: 'rect',
        shape: { x, y: height - ROW * (depth + 1), width: width - 0.5, height: ROW - 1 },
        style: { fill: colors[packages.indexOf(frame.package) % colors.length] },
        textConfig: { position: 'insideLeft', distance: 3 },
        ...(width >= LEAST_NAMED && {
          textContent: {
            style: { text: `${frame.name} ${frame.package}`, width: width - 6, overflow: 'truncate', font: FONT },
          },
        }),
      })),
    ],
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

interface Box {
  readonly frame: StackFrame
  readonly x: number
  readonly depth: number
  readonly width: number
}

function boxesOf(frame: StackFrame, { x, depth, scale }: { x: number; depth: number; scale: number }): readonly Box[] {
  const boxes: Box[] = [{ frame, x, depth, width: frame.allUs * scale }]
  let left = x
  for (const called of frame.calls) {
    const width = called.allUs * scale
    if (width >= LEAST_WIDTH) boxes.push(...boxesOf(called, { x: left, depth: depth + 1, scale }))
    left += width
  }
  return boxes
}
