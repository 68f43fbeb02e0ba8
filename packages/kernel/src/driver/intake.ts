import { isCodedError, sealEvent, type Limits, type Page, type Post, type PostRejection } from '@varve/store'
import { itemKeyOf, type LogDraft } from '../log/log-event.ts'
import { findFact } from '../run/facts.ts'
import type { System } from '../run/system.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import type { FactDraft } from './fact-desk.ts'
import { dueInputs, postInput, type Input } from './inputs.ts'
import { rejectionOf } from './rejection.ts'
import { isAwaited } from './running-attempts.ts'

/** What has come in for a run and is not in its log yet: inputs in order, and posts that can never be taken. */
export class Intake {
  readonly #definition: Definition
  readonly #limits: Limits
  /** There once a post was set aside. */
  #rejected: Map<string, string> | undefined
  #inputs: Input[] = []
  #apart = false
  /** When the last post that was listed was kept, while more wait. */
  #listedTo: number | undefined
  /** What is to be done for want of the outcomes of attempts whose driver died. */
  #orphans: readonly Input[] = NO_INPUTS

  constructor(definition: Definition, limits: Limits) {
    this.#definition = definition
    this.#limits = limits
  }

  /** Inputs of the next turn, in order. */
  get inputs(): readonly Input[] {
    return this.#inputs
  }

  /** Posts to set aside with the next append. */
  get rejections(): readonly PostRejection[] {
    return this.#rejected === undefined ? NONE : Array.from(this.#rejected, ([id, error]) => ({ id, error }))
  }

  /** True when the inputs are to be appended before anything is decided on them. */
  get apart(): boolean {
    return this.#apart
  }

  /**
   * True when more posts wait than were listed. Nothing is to be decided then, as a run that would end with it is refused to, and
   * nothing to be done that one of them may have come before: an attempt to be begun, a time to be over.
   */
  get isPart(): boolean {
    return this.#listedTo !== undefined
  }

  /** True when nothing that has come in is still to be appended, or to be listed. */
  get isThrough(): boolean {
    return this.#inputs.length === 0 && !this.isPart
  }

  get isEmpty(): boolean {
    return this.#inputs.length === 0 && this.#rejected === undefined
  }

  /** True when posts were taken and are not durable yet. */
  get hasPosts(): boolean {
    return this.#inputs.some(({ post }) => post !== undefined)
  }

  /** What has come in but for the last of it, which an append had no room for. */
  without({ length }: readonly Input[]): readonly Input[] {
    return length === 0 ? this.#inputs : this.#inputs.slice(0, this.#inputs.length - length)
  }

  /** Begins anew with these. */
  begin(inputs: readonly Input[]): void {
    this.#inputs = [...inputs]
    this.#orphans = inputs.filter(isForWant)
  }

  /** Takes an outcome of an attempt; one that the log no longer waits for is passed over. */
  addResult(system: System, draft: LogDraft, now: number): void {
    const key = itemKeyOf(draft)
    const item = system.open.get(key ?? '')
    if (item?.kind !== 'action' || !isAwaited(item, draft)) return
    // Also where a post has another one: nobody knows before its append whether that can be taken, and this one is never told again.
    this.#inputs.push({ draft })
    if (draft.type !== 'ActionAttemptFailed' || draft.data.retryAt > now) return
    const next = { key: item.key, attempt: item.attempt + 1 }
    this.#inputs.push({ draft: { type: 'ActionAttemptStarted', data: next } })
  }

  /** Takes a fact while its attempt is under way. @returns false when it is not, or its outcome came first. */
  addFact(system: System, draft: FactDraft): boolean {
    const { actionKey } = draft.data
    const item = system.open.get(actionKey)
    if (item?.kind !== 'action' || !item.attempting || findFact(system, draft.data) !== undefined) return false
    if (this.#inputs.some(({ draft: other, post }) => post === undefined && itemKeyOf(other) === actionKey))
      return false
    this.#inputs.push({ draft })
    return true
  }

  /** Takes the first posts that wait, in their order, in the place of those taken before. */
  addPosts(system: System, { items, next }: Page<Post>): void {
    this.#listedTo = next === undefined ? undefined : (items.at(-1)?.postedAt ?? -Infinity)
    this.#placeOrphans(system)
    this.#placePosts(system, items)
  }

  /** Before all others, once every post is known that may bring an outcome. */
  #placeOrphans(system: System): void {
    if (this.#orphans.length === 0) return
    const orphans = new Set(this.#orphans)
    const others = this.#inputs.filter((input) => !orphans.has(input))
    this.#inputs = this.isPart ? others : [...this.#orphans.filter((input) => isOrphan(system, input)), ...others]
  }

  #placePosts(system: System, posts: readonly Post[]): void {
    this.#inputs = this.#inputs.filter(({ post }) => post === undefined)
    for (const post of posts) {
      if (this.#rejected?.has(post.id) === true) continue
      try {
        this.#addPost(system, post)
      } catch (error) {
        this.#setAside(post.id, rejectionOf.error(error))
      }
    }
  }

  /** Takes once more those that are taken and not durable yet, behind what came in meanwhile. */
  addPostsAgain(system: System): void {
    if (!this.hasPosts) return
    const posts = this.#inputs.flatMap(({ post }) => post ?? [])
    this.#placePosts(system, posts)
  }

  #setAside(postId: string, why: string): void {
    this.#rejected ??= new Map()
    this.#rejected.set(postId, why)
  }

  #addPost(system: System, post: Post): void {
    const pending = this.#inputs.flatMap(({ draft }) => (draft.type === 'SignalReceived' ? [draft.data.name] : []))
    const room = { keptSignals: this.#limits.keptSignals, pending }
    const input = postInput(system, this.#definition, room, post)
    const key = itemKeyOf(input.draft)
    // A handed-in outcome is better than what was about to be done for want of it.
    const wanted = post.type === 'ActionSucceeded'
    // Two posts for one item in one turn: the first one that was kept counts.
    const moved = this.#inputs.some(
      (other) => itemKeyOf(other.draft) === key && !mayPrecede(other.draft, post) && !(wanted && isForWant(other)),
    )
    if (key !== undefined && moved) throw rejectionOf.late(system.runId, key, post)
    if (key !== undefined && wanted) {
      // One that no event can hold must not take the place of anything.
      sealEvent(system.runId, system.end, input.draft, system.at, this.#limits)
      this.#dropForWant(system, key)
    }
    this.#inputs.push(input)
  }

  #dropForWant(system: System, key: string): void {
    const dropped = this.#inputs.filter((other) => itemKeyOf(other.draft) === key && isForWant(other))
    this.#inputs = this.#inputs.filter((other) => !dropped.includes(other))
    // An order to try again has to leave the inbox, too: a run that ends leaves none behind.
    for (const { post } of dropped) {
      if (post !== undefined) this.#setAside(post.id, rejectionOf.error(rejectionOf.late(system.runId, key, post)))
    }
  }

  /** Gives up attempts that were not called, and says why; not those that an input tells of already. */
  abandon(attempts: readonly { readonly key: string; readonly attempt: number }[], reason: Error): void {
    const notExecuted = isCodedError(reason) ? reason.code : reason.name
    for (const attempt of attempts) {
      if (this.#inputs.some(({ draft }) => itemKeyOf(draft) === attempt.key)) continue
      this.#inputs.push({ draft: { type: 'ActionAttemptAbandoned', data: { ...attempt, notExecuted } } })
    }
  }

  /**
   * Adds what time alone brings about: that a wait is over before the signals that came too late for it. While more posts wait than were
   * listed, that alone, and not what is over later than these came: each of the others may have come before.
   */
  addDue(system: System, now: number): void {
    const due = dueInputs(system, Math.min(now, this.#listedTo ?? now), this.#inputs)
    if (due.length === 0) return
    const isWait = ({ draft }: Input): boolean => draft.type === 'WaitTimedOut'
    const others = this.isPart ? NO_INPUTS : due.filter((input) => !isWait(input))
    this.#inputs = [...due.filter(isWait), ...this.#inputs, ...others]
  }

  /** Leaves attempts that are due, or that take the place of abandoned ones, to whoever drives the run next. */
  holdAttempts(): void {
    this.#inputs = this.#inputs.filter(({ draft, post }) => post !== undefined || draft.type !== 'ActionAttemptStarted')
  }

  /** Sets a post aside that turned out to be none that can be folded. */
  reject(postId: string, error: unknown): void {
    this.#setAside(postId, rejectionOf.error(error))
    this.#inputs = this.#inputs.filter(({ post }) => post?.id !== postId)
  }

  /** Says that the inputs, and what is decided on them, do not fit into one append. */
  keepApart(): void {
    this.#apart = true
  }

  /** Keeps what the turn that is durable now had no room for. */
  appended(rest: readonly Input[]): void {
    this.#inputs = [...rest]
    this.#apart = false
    if (!this.isPart) this.#orphans = NO_INPUTS
  }

  /** Forgets the posts that are set aside now. */
  rejected(): void {
    this.#rejected = undefined
  }
}

const NONE: readonly PostRejection[] = []

const NO_INPUTS: readonly Input[] = []

/** True while the attempt is under way that an input gives up, or takes the place of. */
function isOrphan({ open }: System, { draft }: Input): boolean {
  const item = open.get(itemKeyOf(draft) ?? '')
  if (item?.kind !== 'action' || !item.attempting || !('attempt' in draft.data)) return false
  return draft.data.attempt === (draft.type === 'ActionAttemptStarted' ? item.attempt + 1 : item.attempt)
}

/** That an attempt failed does not keep the outcome of an earlier one from being taken behind it. */
function mayPrecede(draft: LogDraft, post: Post): boolean {
  return draft.type === 'ActionAttemptFailed' && post.type === 'ActionSucceeded'
}

function isForWant({ draft }: Input): boolean {
  return ['ActionAttemptAbandoned', 'ActionAttemptStarted', 'ActionInDoubt'].includes(draft.type)
}
