import Table from 'cli-table3'
import { median } from '../statistics.ts'
import type { Workload } from '../../peers/workloads.ts'
import { figuresOf, type Cell, type Comparison, type MeasuredPeer } from './compare.ts'

/** What each workload is, and in what it is measured. */
const workloadTitles: Readonly<Record<Workload, string>> = {
  W1: 'W1 steps/s',
  W2: 'W2 runs/s',
  W3: 'W3 ms',
  'W3 2k': 'W3 of 2,000 ms',
  'W3 1k': 'W3 of 990 ms',
  'W3 all': 'W3 all read ms',
  W4: 'W4 ms',
  W5: 'W5 ms',
  'W5 direct': 'W5 direct ms',
}

/** Rows of a table; the first is its head. */
export type Rows = readonly (readonly string[])[]

/** What was measured: the median of each, and its spread below. */
export function figureRows(measured: readonly MeasuredPeer[], workloads: readonly Workload[]): Rows {
  return [
    ['system', ...workloads.map((workload) => workloadTitles[workload])],
    ...measured.map(({ peer, cells }) => [peer.name, ...workloads.map((each) => figure(cells.get(each)))]),
  ]
}

/** How many times as fast we are, next to each of the others. */
export function ratioRows(comparisons: readonly Comparison[], workloads: readonly Workload[]): Rows {
  const peers = [...new Set(comparisons.map(({ peer }) => peer))]
  const shown = workloads.filter((each) => comparisons.some(({ workload }) => workload === each))
  return [
    ['we are so many times as fast as', ...shown.map((workload) => titleWithTarget(workload, comparisons))],
    ...peers.map((peer) => [
      peer,
      ...shown.map((each) => ratioCell(comparisons.find((one) => one.peer === peer && one.workload === each))),
    ]),
  ]
}

/** For a terminal. */
export function terminalTable([head = [], ...rows]: Rows): string {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  })
  table.push(...rows.map((row) => [...row]))
  return table.toString()
}

/** For a README. */
export function markdownTable([head = [], ...rows]: Rows): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((row) => line(row.map((cell) => cell.replaceAll('\n', '<br>')))).join('\n')
}

/** Why there is no figure, or not one of every round, a line for each. */
export function failures(measured: readonly MeasuredPeer[]): readonly string[] {
  return measured.flatMap(({ peer, cells }) =>
    [...cells].flatMap(([workload, { error }]) =>
      error === undefined ? [] : [`${peer.name}, ${workloadTitles[workload]}: ${error}`],
    ),
  )
}

function figure(cell: Cell | undefined): string {
  if (cell === undefined) return ''
  const figures = figuresOf(cell)
  if (figures.length === 0) return 'failed'
  const spread = `\n${short(Math.min(...figures))}-${short(Math.max(...figures))}`
  return `${short(median(figures))}${figures.length === 1 ? '' : spread}`
}

function ratioCell(comparison: Comparison | undefined): string {
  if (comparison === undefined) return ''
  const { times, least, most, verdict } = comparison
  const mark = { reached: '', 'within the spread': ' ~', missed: ' !', unjudged: ' *' }[verdict]
  const spread = least === most ? '' : `\n${factor(least)}-${factor(most)}`
  return `${factor(times)}${mark}${spread}`
}

function titleWithTarget(workload: Workload, comparisons: readonly Comparison[]): string {
  const { target } = comparisons.find((each) => each.workload === workload) ?? { target: NaN }
  const [name = ''] = workloadTitles[workload].split(/ (?:steps\/s|runs\/s|ms)$/)
  return `${name}, at least ${target}`
}

function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(1)
}

function factor(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toFixed(1)
}
