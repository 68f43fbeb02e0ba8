import type { ContentId, Json, Store } from '@varve/store'

/** A clock that moves only when it is told to. */
export interface TestClock {
  /** Unix milliseconds; pass it to the store as its `now`. */
  readonly now: () => number
  /** Moves the clock forward, or back when the time is below zero. */
  readonly advance: (ms: number) => void
}

/** A place of its own where one case opens stores: nothing in it is shared with the harness of another case. */
export interface Harness {
  /** Opens a store on this harness's data; with a shared or durable store, every time on the same data. */
  open(): Promise<Store>
  /** The clock of every store that `open` returns. */
  readonly clock: TestClock
  /**
   * Lets the next mutating call commit and then throw `UNKNOWN_OUTCOME`, as when the connection breaks while the answer is
   * on its way. A durable store must be able to show this.
   */
  readonly loseNextAnswer?: () => void
  /** Flips a bit of the bytes that are kept of an artifact, behind the store's back. A durable store must be able to show this. */
  readonly corruptArtifact?: (id: ContentId) => Promise<void>
  /** How another process opens a store on the same data; there when processes can share it. */
  readonly child?: StoreInChild
  /** Closes what is open and deletes the data. Called once, after the case. */
  destroy(): Promise<void>
}

/** A function that a child process imports and calls: `(args: Json) => Promise<Store>`. */
export interface StoreInChild {
  /** URL or absolute path of the module. */
  readonly module: string
  /** Name of the function that the module exports. */
  readonly export: string
  readonly args: Json
}

/** Makes a clock that stands still at `startAt`, Unix milliseconds. */
export function createTestClock(startAt = 1_700_000_000_000): TestClock {
  let time = startAt
  return {
    now: () => time,
    advance: (ms) => {
      time += ms
    },
  }
}
