import type { LogEvent } from '../log/log-event.ts'
import type { System } from '../run/system.ts'

/** Why a drive is about to give its run up although nobody took it, and what it must not begin until then. */
export class GivingUp {
  #resting: Error | undefined
  #draining: Error | undefined
  #parking: Error | undefined
  /** True when what must not happen twice follows so closely on its like that there would never be a moment in between. */
  #closing = false

  /** As soon as nothing that must not happen twice is under way: aborted, its outcome would be unknown. */
  rest(reason: Error): void {
    this.#resting ??= reason
  }

  /** As soon as the log has the outcome of every attempt that is under way. */
  drain(reason: Error): void {
    this.#draining ??= reason
  }

  /** As soon as the log says which attempts have not been called. */
  park(reason: Error): void {
    this.#parking ??= reason
  }

  /** What keeps the handlers from being called. */
  get parking(): Error | undefined {
    return this.#parking
  }

  /** True while no attempt is to be begun: what is to be tried again is so by whoever drives the run next. */
  isDraining(system: System): boolean {
    return this.#draining !== undefined && system.cancel === undefined
  }

  /** True while nothing is to be decided: what would be asked for is the business of whoever drives the run next. */
  holds(system: System): boolean {
    if (this.#parking !== undefined) return true
    if (this.isDraining(system)) return true
    if (this.#resting === undefined) return false
    // Canceled, what is under way is dropped: a rest would wait for it to end by itself.
    return !system.open.isAttempting('once') || (this.#closing && system.cancel === undefined)
  }

  /**
   * Looks at what was decided while the run is to rest. From the first request on of what must not happen twice, nothing is
   * decided any more: such actions, several at a time, would follow each other without a moment in between.
   *
   * @returns true when what was decided is to be forgotten.
   */
  refuses(system: System, decided: readonly LogEvent[]): boolean {
    if (this.#resting === undefined || system.cancel !== undefined) return false
    const another = decided.some(({ type, data }) => type === 'ActionRequested' && data.effect === 'at-most-once')
    this.#closing ||= another
    return another
  }

  /**
   * @throws the reason, when the time has come.
   */
  check(system: System, running: Calls): void {
    if (this.#parking !== undefined && uncalled(system, running).length === 0) throw this.#parking
    if (this.#resting !== undefined && !system.open.isAttempting('once')) throw this.#resting
    if (this.#draining !== undefined && !system.open.isAttempting()) throw this.#draining
  }
}

/** Tells whether the handler of an attempt was called. */
export interface Calls {
  readonly isCalled: (key: string) => boolean
}

/** Attempts that are durable and whose handler was not called. */
export function uncalled(
  { open }: System,
  running: Calls,
): readonly { readonly key: string; readonly attempt: number }[] {
  return [...open.values()].flatMap((item) => {
    if (item.kind !== 'action' || !item.attempting || running.isCalled(item.key)) return []
    return [{ key: item.key, attempt: item.attempt }]
  })
}
