import type { LogDraft } from '../log/log-event.ts'
import type { FactDraft } from './fact-desk.ts'

/**
 * What is heard of posts to a run: one was `told` of; one may have been `missed`, which a drive that is at work need not look for,
 * since its next append tells; such a look is `overdue`, if there was none.
 */
export type PostNews = 'told' | 'missed' | 'overdue'

/** Where a drive waits for whatever may move its run: results of its actions, posts, timers, the order to stop. */
export class Mailbox {
  #results: LogDraft[] = []
  #facts: FactDraft[] = []
  #nudged = false
  /** True while nobody has looked since posts may have been missed. */
  #missed = false
  /** There while an append is under way: whether it was asked for since posts may have been missed, or before. */
  #appending: 'since' | 'before' | undefined
  /** True while an append is under way that gives the run back. */
  #releasing = false
  /** Why the lease was given up meanwhile. */
  #lost: Error | undefined
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

  /** Says that posts may wait. @returns true when an append has to tell, and a reminder to come in case there is none. */
  nudge(news: PostNews = 'told'): boolean {
    const isAtWork = this.#wake === undefined
    if (news === 'missed' && isAtWork) {
      this.#missed = true
      if (this.#appending !== undefined) this.#appending = 'before'
    }
    // Who is at work is about to append, or to wait.
    if (news !== 'told' && isAtWork) return this.#missed
    if (news === 'overdue' && !this.#missed) return false
    this.#nudged = true
    this.#wake?.()
    return false
  }

  /** Says that an append is asked for, which will tell whether posts wait; and whether it is to give the run back. */
  appending(releases: boolean): void {
    this.#appending = this.#missed ? 'since' : 'before'
    this.#releasing = releases
  }

  /** Says that it has told, be it by being refused for posts that wait; and whether it has given the run back. */
  appended(released = false): void {
    if (this.#appending === 'since') this.#missed = false
    this.#appending = undefined
    this.#releasing = false
    const lost = this.#lost
    this.#lost = undefined
    if (lost !== undefined && !released) this.stop(lost)
  }

  /**
   * Ends the drive, which has no lease any more; unless that comes of an append of its own that gives the run back, of which it has
   * not heard.
   */
  loseLease(reason: Error): void {
    if (this.#releasing) this.#lost = reason
    else this.stop(reason)
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
    if (nudged) this.#missed = false
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
