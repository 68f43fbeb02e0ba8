/** The end of something, for whoever wants to be told. Nothing is made for an end that nobody asks about. */
export class Ending {
  #controller: AbortController | undefined
  #reason: (() => Error) | undefined

  /** Aborted with the reason once it has ended. */
  get signal(): AbortSignal {
    this.#controller ??= this.#reason === undefined ? new AbortController() : aborted(this.#reason())
    return this.#controller.signal
  }

  /** Ends it; the reason is made when somebody is to be told. */
  end(reason: () => Error): void {
    this.#reason = reason
    this.#controller?.abort(reason())
  }
}

function aborted(reason: Error): AbortController {
  const controller = new AbortController()
  controller.abort(reason)
  return controller
}
