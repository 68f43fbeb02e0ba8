import type { Clock, Timer } from './clock.ts'

/** A look at the store's clock. */
export interface ClockSample {
  /** What the store's clock showed at some instant of the call, Unix milliseconds. */
  readonly storeNow: number
  /** What the machine's clock showed when the call had been answered, Unix milliseconds. */
  readonly machineNow: number
  /** How long the call took, in ms. */
  readonly tookMs: number
}

/**
 * What to add to the machine's clock after a look at the store's: what was added before, as long as that can be right, else
 * the nearest that can. So clocks that agree are never corrected, and what is known is never made worse.
 */
export function offsetAfter(offset: number, { storeNow, machineNow, tookMs }: ClockSample): number {
  // Both clocks show whole milliseconds: each may be one behind what it should show.
  const least = Math.floor(storeNow - machineNow) - 1
  const most = Math.ceil(storeNow - machineNow + tookMs) + 1
  return Math.min(Math.max(offset, least), most)
}

/** After so long the store is asked again before a time is written. Two machines drift apart by less than a second a day. */
const FRESH_MS = 60_000

/** Clocks are slewed by much less than this between two looks; what differs by more was set, or slept through. */
const SET_MS = 1000

/** What has been told too far ahead is waited for so long; beyond that time goes back. */
const STAND_STILL_MS = 1000

/** No time is waited for with a look at the store's clock sooner than after this, in ms. */
const LOOK_MS = 60_000

/** A time that is far away is looked at after an eighth of what is left, and after this, in ms, at the latest. */
const LONGEST_LOOK_MS = 600_000

/** The store's clock as this process knows it: the machine's, corrected by what the store's answers say. */
export interface StoreClock extends Clock {
  /**
   * Takes notice of what the store's clock showed at some instant since the call was made.
   *
   * @param askedAt - monotonic time before the call.
   */
  readonly noted: (storeNow: number, askedAt: number) => void
  /** Asks the store unless that was done of late, for what is written without a claim. @throws what asking throws. */
  readonly check: () => Promise<void>
  /**
   * Monotonic time of the look at which the machine's clock was last found to have been set; less than any where it never was. A machine
   * that slept looks the same: its monotonic clock did not go on meanwhile, and others did.
   */
  readonly setAt: () => number
  /**
   * Calls `fn` once at that time by the store's clock, which is looked at on the way: a machine that sleeps does not count, and clocks
   * are set. So after either it is late by a minute, or by an eighth of what was left, ten minutes at the most.
   */
  readonly at: (time: number, fn: () => void) => Timer
}

/** How long to wait before looking at the clock again, when so much is left, in ms. */
function lookIn(leftMs: number): number {
  return Math.min(Math.max(LOOK_MS, leftMs / 8), LONGEST_LOOK_MS)
}

/** A class, as each run that sleeps has one. */
class StoreTimer implements Timer {
  readonly #clock: Pick<StoreClock, 'now' | 'schedule' | 'check'>
  readonly #time: number
  readonly #fn: () => void
  #timer: Timer | undefined
  /** Canceled, or called. */
  #isOver = false
  #keepsAlive = true

  constructor(clock: Pick<StoreClock, 'now' | 'schedule' | 'check'>, time: number, fn: () => void) {
    this.#clock = clock
    this.#time = time
    this.#fn = fn
    this.#arm()
  }

  cancel(): void {
    this.#isOver = true
    this.#timer?.cancel()
  }

  unref(): void {
    this.#keepsAlive = false
    this.#timer?.unref?.()
  }

  #arm(): void {
    const leftMs = Math.max(0, this.#time - this.#clock.now())
    this.#timer?.cancel()
    this.#timer =
      leftMs <= LOOK_MS
        ? this.#clock.schedule(leftMs, () => {
            this.#call()
          })
        : this.#clock.schedule(lookIn(leftMs), () => void this.#look())
    if (!this.#keepsAlive) this.#timer.unref?.()
  }

  #call(): void {
    this.#isOver = true
    this.#fn()
  }

  async #look(): Promise<void> {
    // By what is known: the answer may be an error, or never come.
    this.#arm()
    await this.#clock.check().catch(() => undefined)
    if (!this.#isOver) this.#arm()
  }
}

/**
 * Keeps time by a store's clock. When the machine's clock is set, time goes on by the monotonic one until the store is heard.
 *
 * @param ask - asks the store what time it is.
 */
export function storeClock(machine: Clock, ask: () => Promise<number>): StoreClock {
  let offset = 0
  let told = Number.NEGATIVE_INFINITY
  let lookedNow = machine.now()
  let lookedMonotonic = machine.monotonic()
  let notedAt = Number.NEGATIVE_INFINITY
  let setAt = Number.NEGATIVE_INFINITY
  let asking: { readonly since: number; readonly answered: Promise<void> } | undefined
  /** Reads the machine's clock, which every turn does several times; `offset` fits it then. @returns what it shows. */
  const look = (): number => {
    const now = machine.now()
    const monotonic = machine.monotonic()
    const setBy = now - lookedNow - (monotonic - lookedMonotonic)
    lookedNow = now
    lookedMonotonic = monotonic
    if (Math.abs(setBy) > SET_MS) {
      offset -= Math.round(setBy)
      // A machine that was asleep looks the same, and is behind now.
      notedAt = Number.NEGATIVE_INFINITY
      setAt = monotonic
    }
    return now
  }
  const noted = (storeNow: number, askedAt: number): void => {
    const machineNow = look()
    offset = offsetAfter(offset, { storeNow, machineNow, tookMs: lookedMonotonic - askedAt })
    notedAt = lookedMonotonic
    if (told - (machineNow + offset) > STAND_STILL_MS) told = Number.NEGATIVE_INFINITY
  }
  const askNow = async (askedAt: number): Promise<void> => {
    try {
      noted(await ask(), askedAt)
    } finally {
      if (asking?.since === askedAt) asking = undefined
    }
  }
  const clock: StoreClock = {
    now: () => (told = Math.max(told, look() + offset)),
    monotonic: () => machine.monotonic(),
    schedule: (ms, fn) => machine.schedule(ms, fn),
    noted,
    check: async () => {
      look()
      if (lookedMonotonic - notedAt < FRESH_MS) return
      // An answer may never come, as on a connection that is gone without a word: it is not waited for by all who ask later.
      if (asking === undefined || lookedMonotonic - asking.since >= FRESH_MS) {
        asking = { since: lookedMonotonic, answered: askNow(lookedMonotonic) }
      }
      await asking.answered
    },
    setAt: () => {
      look()
      return setAt
    },
    at: (time, fn) => new StoreTimer(clock, time, fn),
  }
  return clock
}
