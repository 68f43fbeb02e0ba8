import Table from 'cli-table3'
import { figureText } from './figures.ts'
import type { Ratio } from './ratios.ts'
import type { Summary } from './summary.ts'

/** What each program came to, for people. */
export function summaryTable(summaries: readonly Summary[]): string {
  const table = new Table({
    head: ['workload', 'store', 'program', 'figure', 'median', 'least', 'greatest'],
    colAligns: ['left', 'left', 'left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const { workload, store, program, figure, median, min, max } of summaries) {
    table.push([workload, store, program, figure, figureText(median), figureText(min), figureText(max)])
  }
  return table.toString()
}

/** One line for each target, for people. */
export function ratioTable(ratios: readonly Ratio[]): string {
  const table = new Table({
    head: ['workload', 'store', 'target', 'median', 'least', 'greatest', 'wanted', ''],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right', 'left', 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const ratio of ratios) {
    const { workload, store, median, min, max, atLeast, atMost, verdict } = ratio
    const wanted = atLeast === undefined ? `at most ${figureText(atMost ?? NaN)}` : `at least ${figureText(atLeast)}`
    table.push([workload, store, targetText(ratio), ...[median, min, max].map(figureText), wanted, verdict])
  }
  return table.toString()
}

/** What a target is about, in words. */
function targetText({ figure, of, to, less, perMachine }: Ratio): string {
  if (to !== undefined) return `${figure}: ${of} / ${to}`
  if (less !== undefined) return `${figure}: ${of} - ${less}`
  return perMachine === undefined ? `${figure}: ${of}` : `${figure}: ${of} / ${figureText(perMachine)} for this machine`
}
