import type { Clock, Timer } from '@varve/kernel'

/** Where a loop waits until something happens or a time has come. */
export class Occasion {
  readonly #clock: Clock
  #came = false
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Ends the wait, or the next one if nobody waits. */
  come(): void {
    this.#came = true
    this.#wake?.()
  }

  /** @param until - monotonic time. */
  async wait(until: number): Promise<void> {
    let timer: Timer | undefined
    if (!this.#came) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        timer = this.#clock.schedule(Math.max(0, until - this.#clock.monotonic()), resolve)
      })
    }
    timer?.cancel()
    this.#wake = undefined
    this.#came = false
  }
}
