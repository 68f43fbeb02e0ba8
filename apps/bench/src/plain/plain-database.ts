import type { StoredEvent } from '@varve/store'

/** What is written of one run in one go: its row moves from head to head, and the events come behind it. */
export interface PlainAppend {
  readonly runId: string
  /** 0: the run is made. */
  readonly expectedHead: number
  readonly token: number
  readonly status: 'running' | 'blocked' | 'completed'
  /** At least one. */
  readonly events: readonly StoredEvent[]
}

/** A run that was taken. */
export interface PlainClaim {
  readonly runId: string
  readonly token: number
}

/**
 * What a program without Varve makes of a database: a row for each run, with its head and the token of whoever drives it,
 * and a row for each event. Written by hand for each database, as fast as it gets without giving up what DESIGN 2 promises.
 */
export interface PlainDatabase {
  /**
   * One durable commit. Throws when the head or the token of a run is not the expected one, or a new run is there already;
   * of that run nothing is written then.
   */
  commit(appends: readonly PlainAppend[]): Promise<void>
  /** One durable commit that makes a run of two events, which nobody drives, and tells those who listen. */
  announce(append: PlainAppend): Promise<void>
  /** Hears of announced runs from now on. @returns what ends it. */
  listen(listener: (runId: string) => void): Promise<() => Promise<void>>
  /** One page of a run's events, in order. */
  read(runId: string, from: number, limit: number): Promise<readonly StoredEvent[]>
  /** One durable commit that takes this run; it has a new token then. */
  acquire(runId: string): Promise<PlainClaim>
  /** How shared commits go best: at so many connections, and of so many runs each. */
  readonly grouping: { readonly lanes: number; readonly batch: number }
  close(): Promise<void>
}

/** Thrown by all databases alike. */
export function conflict(appends: readonly PlainAppend[]): Error {
  return new Error(`not at the expected head: one of ${appends.map(({ runId }) => runId).join(', ')}`)
}

/** Head of a run after an append. */
export function headAfter({ expectedHead, events }: PlainAppend): number {
  return expectedHead + events.length
}
