import type { Json } from '@varve/store'

/** How a run is to be moved. */
export interface MoveOptions {
  readonly initialState?: Json
  /** False: leave a run alone that a living process drives. */
  readonly follow: boolean
  /** Drive it although it is poisoned. */
  readonly revive?: boolean
  /**
   * True when it was asked for that this process drives it: without its code here it is parked. A process that only posts
   * to runs, or hears of them, leaves that to those that have the code.
   */
  readonly parks?: boolean
}
