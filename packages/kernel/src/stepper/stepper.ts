import type { Json } from '@varve/store'
import type { LogEvent } from '../log/log-event.ts'
import type { FailReason, ItemRequest, UserEvent } from '../workflow/decision.ts'

/**
 * Decides what a run should have in flight. A reducer with a step function is one; the driver knows no other way to
 * learn what to do.
 *
 * A stepper may be mutable inside, but what it wants depends on the applied events, `now` and the items alone.
 */
export interface Stepper {
  /**
   * Types of events that it is not given. Of a recorded request nothing is read then but what every log is folded by, which is a part of
   * what opening a long run costs. Default: it is given all.
   */
  readonly ignores?: ReadonlySet<LogEvent['type']>
  /**
   * Takes in an event, before or after it is durable.
   *
   * @param closed - what the item that the event closes is: the name of its action, signal or workflow, the kind of its interrupt, or
   * `timer`; undefined where it closes none. Whatever else a stepper needs of an item is in the event that opened it.
   * @throws KernelError `REDUCER_FAILED` | `NONDETERMINISM`; the stepper is not used afterwards.
   */
  apply(event: LogEvent, closed: string | undefined): void
  /** What should be in flight now. @throws KernelError when it cannot say. */
  want(ask: Ask): Want
  /**
   * Remembers the state as it stands. The returned function makes it JSON; it may be called until an event that is no
   * decision is applied.
   */
  hold(): () => Json
  /** Continues from a state that {@link hold} gave. */
  load(state: Json): void
}

/** The moment at which a stepper is asked. */
export interface Ask {
  /** `at` of the events that the answer causes. */
  readonly now: number
  /** Of all randomness in the run. */
  readonly seed: string
  /** Seq at which the decision begins: that of the first event it writes. */
  readonly seq: number
  readonly isOpen: (key: string) => boolean
  readonly isKnown: (key: string) => boolean
  /** True for what is open, but for an action that only waits for its next attempt. */
  readonly isUnderWay: (key: string) => boolean
  /** True when the run is being canceled: what should be cleaned up? Wanting nothing new ends the run. */
  readonly canceling: boolean
}

/** What a stepper wants. */
export type Want =
  | {
      readonly kind: 'requests'
      /** Requests whose items are open or closed already; checked, never started again. */
      readonly known: readonly ItemRequest[]
      /**
       * Requests to open now, within the stepper's own bounds of concurrency: all of them, or the first `TURN_EVENTS` at least. Where
       * these fill a turn the stepper is asked again; after fewer it is not, until something has come in.
       */
      readonly fresh: readonly ItemRequest[]
      /** How many of those known, from the first on, stood in the answer before, of which this is the rest. Default: none. */
      readonly checked?: number
    }
  | { readonly kind: 'emit'; readonly events: readonly UserEvent[] }
  | { readonly kind: 'complete'; readonly output: unknown }
  | { readonly kind: 'fail'; readonly error: FailReason }
  | { readonly kind: 'continue'; readonly input: unknown; readonly version?: string }
