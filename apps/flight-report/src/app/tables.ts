import type { Timeline } from '@varve/kernel'
import type { Explanation } from '@varve/plan'
import Table from 'cli-table3'

/** A run's timeline as a table: what happened, and how long after the start. */
export function timelineTable({ events }: Timeline): string {
  const startedAt = events[0]?.at ?? 0
  const rows = events.map(({ seq, at, type, key }) => [seq, duration(at - startedAt), type, key ?? ''])
  return table(['seq', 'after', 'event', 'key'], rows, ['right', 'right'])
}

/** What became of each state of a run and of each item of its maps, and whose result it has. */
export function statesTable(explanations: readonly Explanation[]): string {
  return table(
    ['state', 'result'],
    explanations.map((each) => [stateName(each.key), resultOf(each)]),
  )
}

/** Why each of them did or did not run. */
export function reasonsTable(explanations: readonly Explanation[]): string {
  return table(
    ['state', 'result', 'why'],
    explanations.map((each) => [stateName(each.key), resultOf(each), reasonOf(each)]),
  )
}

/** The key of an execution as people read it: `hours 07:00`. */
export function stateName(key: string): string {
  return key.replace(':item:', ' ')
}

/** What people say of an approval. */
const ANSWERS: Readonly<Partial<Record<Explanation['status'], string>>> = { completed: 'approved', failed: 'refused' }

function resultOf({ key, status, comparedWith }: Explanation): string {
  if (key === 'approval') return ANSWERS[status] ?? status
  if (status === 'completed') return 'ran'
  return status === 'cached' && comparedWith !== undefined ? `cached from run ${comparedWith.runId}` : status
}

function reasonOf({ reason, changed, comparedWith }: Explanation): string {
  if (changed.length === 0 || comparedWith === undefined) return stateName(reason)
  return `changed since ${comparedWith.runId}: ${changed.map(({ part }) => part).join(', ')}`
}

function table(head: string[], rows: readonly (string | number)[][], colAligns: ('left' | 'right')[] = []): string {
  const drawn = new Table({ head, colAligns, style: { head: [], border: [], compact: true }, chars: plain })
  drawn.push(...rows)
  return drawn.toString()
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
