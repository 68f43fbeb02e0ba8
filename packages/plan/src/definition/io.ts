import type { ActionContext } from '@varve/kernel'
import type { Json } from '@varve/store'

/** A state's doors to the outside. What is asked through them is recorded, so that a replay needs no outside. */
export interface Io {
  /**
   * Asks once: `read` is called unless the answer is recorded already. Keys are the run's: states that ask for the same key
   * share its answer. Answers are JSON; large ones belong into an output of their own;
   * `undefined` is recorded as null.
   *
   * @throws KernelError `FACT_MISMATCH` for another `request` under a recorded key; in a replay PlanError `MISSING_FACT`.
   */
  readonly fact: ActionContext['fact']
  /** Unix milliseconds, recorded: a crash and a replay see the same, a retry after a failure another one. */
  now(): Promise<number>
  /** A number from 0 up to, but not including, 1; recorded as {@link now} is. */
  random(): Promise<number>
  /** A UUID, version 4; recorded as {@link now} is. */
  uuid(): Promise<string>
  /**
   * Sends a request over a transport that the engine has under this name. With `fact` the answer is recorded under that key
   * with the request's hash, and asked for once; without, it is not recorded, and a replay refuses it.
   *
   * @throws PlanError `TRANSPORT_MISSING` | `INVALID_DEFINITION` | `MISSING_FACT` | `LIVE_IO_IN_REPLAY`, or what the transport throws.
   */
  call(transport: string, request: Json, options?: { readonly fact?: string }): Promise<Json>
}
