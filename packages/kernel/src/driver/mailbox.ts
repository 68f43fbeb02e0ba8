import type { LogDraft } from '../log/log-event.ts'
import type { FactDraft } from './fact-desk.ts'

/** Where a drive waits for whatever may move its run: results of its actions, posts, timers, the order to stop. */
export class Mailbox {
  #results: LogDraft[] = []
  #facts: FactDraft[] = []
  #nudged = false
  #stop: Error | undefined
  #wake: (() => void) | undefined

  /** Hands in the outcome of an attempt. */
  put(result: LogDraft): void {
    this.#results.push(result)
    this.#wake?.()
  }

  /** Hands in what handlers have asked for. */
  putFacts(facts: readonly FactDraft[]): void {
    if (facts.length === 0) return
    this.#facts.push(...facts)
    this.#wake?.()
  }

  /** Says that posts may wait. */
  nudge(): void {
    this.#nudged = true
    this.#wake?.()
  }

  /** Ends the waiting: time has come for something. */
  wakeUp(): void {
    this.#wake?.()
  }

  /** Ends the drive at the next occasion; the first reason counts. */
  stop(reason: Error): void {
    this.#stop ??= reason
    this.#wake?.()
  }

  /** Resolves when there is something to look at. */
  wait(): Promise<void> {
    if (this.hasNews || this.#stop !== undefined) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  /** Takes all results that are in. */
  takeResults(): readonly LogDraft[] {
    const results = this.#results
    this.#results = []
    return results
  }

  /** Takes all facts that are in. */
  takeFacts(): readonly FactDraft[] {
    const facts = this.#facts
    this.#facts = []
    return facts
  }

  /** True once after any number of nudges. */
  takeNudge(): boolean {
    const nudged = this.#nudged
    this.#nudged = false
    return nudged
  }

  /** @throws the reason to stop, if there is one. */
  checkStop(): void {
    if (this.#stop !== undefined) throw this.#stop
  }

  /** True when results or facts are in, or posts may wait. */
  get hasNews(): boolean {
    return this.#results.length > 0 || this.#facts.length > 0 || this.#nudged
  }
}
