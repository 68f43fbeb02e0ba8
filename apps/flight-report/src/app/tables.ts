import type { Timeline } from '@varve/kernel'
import Table from 'cli-table3'

/** A run's timeline as a table: what happened, and how long after the start. */
export function timelineTable({ events }: Timeline): string {
  const table = new Table({
    head: ['seq', 'after', 'event', 'key'],
    colAligns: ['right', 'right'],
    style: { head: [], border: [], compact: true },
    chars: plain,
  })
  const startedAt = events[0]?.at ?? 0
  for (const { seq, at, type, key } of events) table.push([seq, duration(at - startedAt), type, key ?? ''])
  return table.toString()
}

/** A line below the head, and space between the columns. */
const plain = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', mid: '─', 'mid-mid': '─', right: '', 'right-mid': '', middle: ' ' },
}

function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(3)} s`
  const minutes = Math.floor(ms / 60_000)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
