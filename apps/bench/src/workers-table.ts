import Table from 'cli-table3'
import type { MeasuredWorkers } from './measure-workers.ts'
import { rate, ratio } from './figures.ts'

/** What was measured of driving many runs, for people. */
export function drivingTable(measured: readonly MeasuredWorkers[]): string {
  const table = new Table({
    head: [
      'store',
      'raw commits/s',
      'runs driven by',
      'runs/s',
      'within',
      'steps/s',
      'of raw',
      'of start',
      'calls of a run',
    ],
    colAligns: ['left', 'right', 'left', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const { store, rawCommitsPerSecond, driven } of measured) {
    for (const { way, runsPerSecond, runsPerSecondWithin, stepsPerSecond, ofRaw, ofDirect, callsPerRun } of driven) {
      table.push([
        ...[store, rate(rawCommitsPerSecond), way, rate(runsPerSecond)],
        runsPerSecondWithin.map(rate).join(' - '),
        ...[rate(stepsPerSecond), ratio(ofRaw), ratio(ofDirect), callsPerRun.toFixed(2)],
      ])
    }
  }
  return table.toString()
}

/** What was measured of idle workers, for people. */
export function latenciesTable(measured: readonly MeasuredWorkers[]): string {
  const table = new Table({
    head: ['store', 'started in', 'the worker', 'starts', 'p50', 'p99'],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const { store, latencies } of measured) {
    for (const { from, notifies, starts, p50Ms, p99Ms } of latencies) {
      table.push([
        store,
        from === 'worker' ? "the worker's process" : 'another process',
        notifies ? 'is told' : 'looks',
        ...[starts, `${p50Ms.toFixed(1)} ms`, `${p99Ms.toFixed(1)} ms`],
      ])
    }
  }
  return table.toString()
}
