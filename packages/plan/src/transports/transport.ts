/** What a call is given besides its request. */
export interface TransportContext {
  /** Aborted when nobody waits for the answer any more. The call then ends with the signal's reason. */
  readonly signal: AbortSignal
  /** The same for every attempt of this call, another one for every other call: two calls that share one count as one. */
  readonly idempotencyKey: string
}

/**
 * A way to the world outside of a plan. The answer is JSON, so that it can be recorded.
 *
 * Failures are `ActionError`s with a {@link TransportErrorCode}, whose `kind` says whether trying again may help.
 */
export interface Transport<Req, Res> {
  call(request: Req, ctx: TransportContext): Promise<Res>
}
