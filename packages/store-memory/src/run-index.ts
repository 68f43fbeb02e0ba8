import type { RunFilter } from '@varve/store'
import sortedBTree from 'sorted-btree'
import { byId } from './id-order.ts'
import { dueAt, type RunRecord } from './run-record.ts'

// It is CommonJS with a default export: what Node takes for the default is the module, what some tools take for it the class.
const BTree = typeof sortedBTree === 'function' ? sortedBTree : sortedBTree.default

/** Where a run stands in a line; a bound without an id is behind all the runs of its time. */
type Place = readonly [rank: number, at: number, runId: string | null]

/** Runs in an order. */
type Line = InstanceType<typeof BTree<Place, RunRecord>>

/** That a run stands in a line. */
interface Standing {
  readonly line: string
  readonly place: Place
}

/**
 * The orders in which runs are looked up, as the indexes of a database: all of it follows from the runs themselves, and a run
 * that was changed is put in anew.
 */
export class RunIndex {
  /** By what their runs have in common. A line in which no run stands is none. */
  readonly #lines = new Map<string, Line>()
  readonly #standings = new Map<string, readonly (Standing | undefined)[]>()

  /** Moves the run to where it stands now. */
  put(run: RunRecord): void {
    const before = this.#standings.get(run.runId)
    const newest = before?.[0]?.place ?? ([0, run.createdAt, run.runId] as const)
    const changing = changingStandings(run, newest)
    if (before === undefined) {
      const lasting = lastingLines(run).map((line) => ({ line, place: newest }))
      for (const standing of [...lasting, ...changing]) this.#enter(standing, run)
      this.#standings.set(run.runId, [...lasting, ...changing])
      return
    }
    const first = before.length - changing.length
    if (changing.every((standing, n) => isSame(standing, before[first + n]))) return
    for (const [n, standing] of changing.entries()) {
      if (isSame(standing, before[first + n])) continue
      this.#leave(before[first + n])
      this.#enter(standing, run)
    }
    this.#standings.set(run.runId, [...before.slice(0, first), ...changing])
  }

  remove(runId: string): void {
    for (const standing of this.#standings.get(runId) ?? []) this.#leave(standing)
    this.#standings.delete(runId)
  }

  clear(): void {
    this.#lines.clear()
    this.#standings.clear()
  }

  /** The runs of a queue that are due: highest priority first, then due longest, then by id. */
  *due(queue: string, now: number): Generator<RunRecord> {
    const line = this.#lines.get(dueLine(queue))
    for (const rank of ranksOf(line)) {
      for (const [[ofRank, at], run] of this.walk(line, [rank, -Infinity, ''])) {
        if (ofRank !== rank || at > now) break
        yield run
      }
    }
  }

  /** The runs of a queue that are not due yet, of each priority from the next on. */
  *dueLater(queue: string, now: number): Generator<Iterable<RunRecord>> {
    const line = this.#lines.get(dueLine(queue))
    for (const rank of ranksOf(line)) yield this.#ofRank(line, rank, now)
  }

  /** The runs of a queue whose leases end after an instant. */
  leasedAfter(queue: string, at: number): Iterable<RunRecord> {
    return this.#ofRank(this.#lines.get(leasedLine(queue)), 0, at)
  }

  /** The runs of a queue that a claim with a rate let begin after an instant and no later than another one. */
  *begunWithin(queue: string, after: number, until: number): Generator<RunRecord> {
    for (const [[, at], run] of this.walk(this.#lines.get(begunLine(queue)), [0, after, null])) {
      if (at > until) return
      yield run
    }
  }

  /**
   * Runs among which are all that the filter finds, in as many orders from the newest on as lines have to be looked at; the
   * shortest that there are. All are before `before` by creation and id.
   */
  among(filter: RunFilter, before: readonly [at: number, runId: string]): readonly Iterable<RunRecord>[] {
    const sizeOf = (names: readonly string[]): number =>
      names.reduce((sum, name) => sum + (this.#lines.get(name)?.size ?? 0), 0)
    const [shortest = []] = linesOf(filter)
      .map((names) => ({ names, size: sizeOf(names) }))
      .sort((a, b) => a.size - b.size)
      .map(({ names }) => names)
    return shortest.map((name) => this.#newestFirst(this.#lines.get(name), [0, ...before]))
  }

  /** Every reading of a line goes through here. */
  protected walk(line: Line | undefined, from: Place, backwards = false): Iterable<[Place, RunRecord]> {
    if (line === undefined) return []
    return backwards ? line.entriesReversed(from, undefined, true) : line.entries(from)
  }

  *#ofRank(line: Line | undefined, rank: number, after: number): Generator<RunRecord> {
    for (const [[ofRank], run] of this.walk(line, [rank, after, null])) {
      if (ofRank !== rank) return
      yield run
    }
  }

  *#newestFirst(line: Line | undefined, before: Place): Generator<RunRecord> {
    for (const [, run] of this.walk(line, before, true)) yield run
  }

  #enter(standing: Standing | undefined, run: RunRecord): void {
    if (standing === undefined) return
    const line = this.#lines.get(standing.line) ?? new BTree<Place, RunRecord>(undefined, inOrder)
    line.set(standing.place, run)
    this.#lines.set(standing.line, line)
  }

  #leave(standing: Standing | undefined): void {
    const line = standing && this.#lines.get(standing.line)
    if (standing === undefined || line === undefined) return
    line.delete(standing.place)
    if (line.size === 0) this.#lines.delete(standing.line)
  }
}

const dueLine = (queue: string): string => `due ${queue}`
const leasedLine = (queue: string): string => `leased ${queue}`
const begunLine = (queue: string): string => `begun ${queue}`

/** The lines in which a run stands as long as it is there. */
function lastingLines({ creation: { workflow, parent, tags } }: RunRecord): readonly string[] {
  const names = ['all', `workflow ${workflow}`, ...new Set(tags.map((tag) => `tag ${tag}`))]
  return parent === undefined ? names : [...names, `parent ${parent}`]
}

/** Where a run stands otherwise, always in the same order, so that what has changed is found. */
function changingStandings(run: RunRecord, newest: Place): readonly (Standing | undefined)[] {
  const { runId, lease, begunAt, creation } = run
  const { queue, priority } = creation
  const due = dueAt(run)
  return [
    { line: `status ${run.status}`, place: newest },
    run.problem && { line: 'parked', place: newest },
    run.owes.length > 0 ? { line: 'owing', place: newest } : undefined,
    due === Infinity ? undefined : { line: dueLine(queue), place: [-priority, due, runId] },
    lease && { line: leasedLine(queue), place: [0, lease.until, runId] },
    begunAt === undefined ? undefined : { line: begunLine(queue), place: [0, begunAt, runId] },
  ]
}

/** For each condition that has lines of its own, the names of those that hold together what it finds; first that of all runs. */
function linesOf({ workflow, statuses, parent, parked, owing, tags = [] }: RunFilter): readonly (readonly string[])[] {
  return [
    ['all'],
    ...(workflow === undefined ? [] : [[`workflow ${workflow}`]]),
    ...(statuses === undefined ? [] : [[...new Set(statuses)].map((status) => `status ${status}`)]),
    ...(parent === undefined ? [] : [[`parent ${parent}`]]),
    ...(parked === true ? [['parked']] : []),
    ...(owing === true ? [['owing']] : []),
    ...tags.map((tag) => [`tag ${tag}`]),
  ]
}

/** Each rank of a line, found by one step from the one before it, however many runs there are between. */
function* ranksOf(line: Line | undefined): Generator<number> {
  for (let place = line?.minKey(); place !== undefined; place = line?.nextHigherKey([place[0], Infinity, null])) {
    yield place[0]
  }
}

function isSame(a: Standing | undefined, b: Standing | undefined): boolean {
  return a?.line === b?.line && a?.place[1] === b?.place[1]
}

function inOrder(a: Place, b: Place): number {
  return a[0] - b[0] || a[1] - b[1] || byIdOrBound(a[2], b[2])
}

/** A bound without an id is behind all the runs of its time. */
function byIdOrBound(a: string | null, b: string | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1
  return byId(a, b)
}
