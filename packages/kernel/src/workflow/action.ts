import type { ActionArtifacts } from '../artifacts/action-artifacts.ts'
import type { MustBeJson, NullForVoid } from './json-check.ts'
import type { RetryOptions } from '../policy/retry.ts'

/**
 * What may be assumed of an action whose outcome is not known. `pure` and `idempotent` ones are run again, under the same
 * key. An `at-most-once` one is in doubt, and never runs again without an answer.
 */
export type Effect = (typeof EFFECTS)[number]

/** All there are. */
export const EFFECTS = ['pure', 'idempotent', 'at-most-once'] as const

/** What an action's handler is given besides its input. */
export interface ActionContext extends InquiryContext {
  /**
   * Asks the outside world once: `read` is called unless the answer is recorded already, and its answer is given out when it is
   * durable. Whoever asks for the same key meanwhile waits for the same answer. Facts that are read in one tick share an append.
   * `undefined` is recorded as null; no fact holds a secret. What `read` throws is recorded nowhere, and the next one to ask tries again.
   *
   * @param key - 1-200 characters, not beginning with `varve:`.
   * @throws KernelError `FACT_MISMATCH` (recorded with another `request`) | `FACT_CYCLE` | `INVALID_INPUT` | `NOT_OPEN` (the attempt is over);
   * StoreError `NOT_JSON` | `LIMIT_EXCEEDED`; the signal's reason when the attempt is aborted.
   */
  readonly fact: <T>(
    key: string,
    read: (() => T | PromiseLike<T>) & MustBeJson<T>,
    options?: FactOptions,
  ) => Promise<NullForVoid<T>>
  /** Keeps and reads what is too large for the log, or to be shared between runs: the log holds references to it. */
  readonly artifacts: ActionArtifacts
  /**
   * Unix milliseconds that never go back within an attempt. What is recorded of it is `at` of the attempt's events; a value that
   * has to be the same in every attempt is a {@link fact}.
   */
  readonly now: () => number
  /**
   * A number from 0 up to, but not including, 1; another one with each call. Derived from the run's seed, its id and the
   * action's key: every attempt draws the same sequence, and a fork another one.
   */
  readonly random: () => number
  /** A UUID in the shape of version 4, derived as {@link random} is. */
  readonly uuid: () => string
}

/** How a fact is asked for. */
export interface FactOptions {
  /**
   * `run`: the first answer holds for all actions of the run and all their attempts. `attempt`: it is the action's own, and
   * forgotten when the attempt fails; a crash is no failure. Default `run`.
   */
  readonly scope?: 'run' | 'attempt'
  /** What the answer depends on, JSON; its hash is recorded, and asking with another one is `FACT_MISMATCH`. */
  readonly request?: unknown
}

/** What an inquiry about an attempt in doubt is given besides the action's input. */
export interface InquiryContext {
  readonly runId: string
  /** The action's name within the run. */
  readonly key: string
  /** The same for every attempt of this action, in this process or another: 64 hex digits. */
  readonly idempotencyKey: string
  /** From 1; counts attempts that a crash ended, too. */
  readonly attempt: number
  /**
   * Grows whenever the run changes hands: whoever sees a smaller one than before may refuse it. It stays the same for as long as
   * the handler runs: renewing the lease does not change it. A whole number of up to 2^53 - 1: it needs a column of 64 bits.
   */
  readonly fencingToken: number
  /** Aborted when the attempt times out, the run ends, or this process is about to lose the run. */
  readonly signal: AbortSignal
  /**
   * Says that the attempt is alive: its timeout begins anew, unless it is over. For handlers that compute for long, too: waited for,
   * it lets timers and I/O of the process run, and renews the lease when a third of it has gone. May be called as often as you
   * like.
   *
   * @throws the signal's reason when the attempt was aborted. Who does not wait for it need not catch it.
   */
  readonly heartbeat: () => Promise<void>
  /**
   * Reports what the attempt used, such as `{ tokens: 120 }`; amounts of one name add up. Recorded with its outcome, be it a
   * failure, and counted for budgets. What an attempt used that a crash or doubt ended is lost.
   *
   * @throws KernelError `INVALID_INPUT` for amounts that are no numbers from 0, names of the wrong form, and more than 100 names;
   * nothing of that report counts.
   */
  readonly use: (amounts: Readonly<Record<string, number>>) => void
}

/** What an action is a use of: a name, or how to tell it from the input. 1-200 characters. */
export type Label = string | ((input: never) => string | undefined)

/** What became of an action whose outcome is unknown to the run. */
export type Reconciliation =
  | { readonly status: 'succeeded'; readonly output: unknown }
  | { readonly status: 'failed'; readonly message: string }
  | { readonly status: 'unknown' }
  /** Permits another attempt. Only for an action that is {@link AnyAction.fenced}. */
  | { readonly status: 'not-executed' }

/** A door to the outside world. */
export interface AnyAction {
  /** Default `idempotent`. */
  readonly effect?: Effect
  /** Wins over the kernel's policy. */
  readonly retry?: RetryOptions
  /**
   * An attempt that takes longer, in ms, fails as `transient`, with its signal aborted; one of an at-most-once action is in doubt. The secrets of its input may take as long before
   * it is called. Default: none.
   */
  readonly timeoutMs?: number
  /** The tool and the provider that it is a use of: what an allow-list goes by. Recorded when it is asked for. */
  readonly tool?: Label
  readonly provider?: Label
  /** What it does. `undefined` is recorded as null. */
  readonly run: (input: never, ctx: ActionContext) => unknown
  /** Asks the other side what became of an attempt in doubt. Runs once per drive; a throw counts as `unknown`. */
  readonly reconcile?: (input: never, ctx: InquiryContext) => Reconciliation | Promise<Reconciliation>
  /**
   * An answer of `not-executed` is final: the attempt that was asked about can never take effect later. The other side has to refuse it
   * then, by `attempt` under its `idempotencyKey`: each up to the one that it was asked about. Refusing fencing tokens below one it has
   * seen is not enough: an attempt that timed out or threw has the token of the inquiry about it when the run has not changed hands.
   */
  readonly fenced?: boolean
}

/** A workflow's actions by name. */
export type Actions = Readonly<Record<string, AnyAction>>

/** What a handler takes. */
export type ActionInput<A extends AnyAction> = Parameters<A['run']> extends [] ? null : Parameters<A['run']>[0]

/** What a handler answers, as it is recorded. */
export type ActionOutput<A extends AnyAction> = NullForVoid<Awaited<ReturnType<A['run']>>>

/** Nothing for labels that can be told from the action's input; a type nobody can satisfy for others. */
export type LabelsFit<A, In> = LabelFits<A extends { readonly tool: infer L } ? L : string, In> &
  LabelFits<A extends { readonly provider: infer L } ? L : string, In>

type LabelFits<L, In> = L extends (input: infer Taken) => unknown
  ? [In] extends [Taken]
    ? unknown
    : { readonly labelTakesAnotherInput: Taken }
  : unknown
