import Table from 'cli-table3'
import type { Measured } from './measure.ts'
import { rate, ratio } from './figures.ts'
import type { MeasuredArtifacts } from './measures/artifacts.ts'

/** What was measured of writing, for people. */
export function measuredTable(measured: readonly Measured[]): string {
  const table = new Table({
    head: ['store', 'raw commits/s', 'appends/s', 'of raw', 'steps/s', 'of raw', 'appends of a run', 'other calls'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const each of measured) {
    table.push([
      each.store,
      rate(each.rawCommitsPerSecond),
      rate(each.appendsPerSecond),
      ratio(each.appendRatio),
      rate(each.stepsPerSecond),
      ratio(each.stepRatio),
      `${each.callsOfRun.appends} for ${each.steps} steps`,
      otherCalls(each),
    ])
  }
  return table.toString()
}

/** What was measured of reading, for people. */
export function readsTable(measured: readonly Measured[]): string {
  const table = new Table({
    head: [
      'store',
      'bare events/s',
      'replay',
      'of bare',
      'bare seals/s',
      'verify',
      'of bare',
      'opening',
      'events read',
    ],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const { store, reads } of measured) {
    table.push([
      store,
      rate(reads.bareEventsPerSecond),
      rate(reads.replayEventsPerSecond),
      ratio(reads.replayRatio),
      rate(reads.bareSealsPerSecond),
      rate(reads.verifyEventsPerSecond),
      ratio(reads.verifyRatio),
      `${reads.openingMs.toFixed(1)} ms`,
      `${reads.openingEvents} of ${reads.events}`,
    ])
  }
  return table.toString()
}

/** What was measured of plans, for people. */
export function plansTable(measured: readonly Measured[]): string {
  const table = new Table({
    head: [
      'store',
      'states of a plan',
      'first run',
      'from the cache',
      'scheduling',
      'commits',
      'scheduling of commits',
    ],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const { store, plan } of measured) {
    table.push([
      store,
      plan.states.toLocaleString('en-US'),
      ...[plan.firstMs, plan.cachedMs, plan.schedulingMs, plan.commitsMs].map((ms) => `${rate(ms)} ms`),
      ratio(plan.schedulingRatio),
    ])
  }
  return table.toString()
}

/** What was measured of an artifact, for people. */
export function artifactsTable(measured: MeasuredArtifacts): string {
  const table = new Table({
    head: ['store', 'artifact', 'sha256 + copy', 'stream in', 'of bare', 'stream out', 'of bare'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  table.push([
    measured.store,
    `${measured.mebibytes} MiB`,
    `${measured.bareMs.toFixed(0)} ms`,
    `${measured.inMs.toFixed(0)} ms`,
    ratio(measured.inRatio),
    `${measured.outMs.toFixed(0)} ms`,
    ratio(measured.outRatio),
  ])
  return table.toString()
}

function otherCalls({ callsOfRun: { writes, reads, snapshots } }: Measured): string {
  return `${writes} writes, ${reads} reads, ${snapshots} of snapshots`
}
