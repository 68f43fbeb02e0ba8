/** A value and its rank, as {@link Ranks} keep it: whoever added it takes it out by this. */
export interface Ranked<T> {
  readonly value: T
  readonly rank: number
  /** Where it stands, for {@link Ranks} alone. */
  place: number
}

/** Values by rank, of which the least is at hand and any can be taken out: a binary heap that knows the place of each. */
export class Ranks<T> {
  readonly #heap: Ranked<T>[] = []

  get size(): number {
    return this.#heap.length
  }

  /** One of the least rank. */
  get first(): Ranked<T> | undefined {
    return this.#heap[0]
  }

  /** Adds a value. Ranks are numbers that can be compared. */
  add(value: T, rank: number): Ranked<T> {
    const ranked = { value, rank, place: this.#heap.length }
    this.#heap.push(ranked)
    this.#rise(ranked)
    return ranked
  }

  /** Takes out what {@link Ranks.add} answered; once. */
  delete(ranked: Ranked<T>): void {
    const last = this.#heap.pop() as Ranked<T>
    if (last === ranked) return
    this.#put(last, ranked.place)
    this.#rise(last)
    this.#sink(last)
  }

  /** Values of this rank and lower ones, in no order. Looks at no more than twice as many others. */
  upTo(rank: number): T[] {
    const found: T[] = []
    const places = [0]
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const ranked = this.#heap[place]
      if (ranked === undefined || ranked.rank > rank) continue
      found.push(ranked.value)
      places.push(2 * place + 1, 2 * place + 2)
    }
    return found
  }

  #rise(ranked: Ranked<T>): void {
    for (let place = ranked.place; place > 0;) {
      const above = this.#heap[(place - 1) >> 1] as Ranked<T>
      if (above.rank <= ranked.rank) return
      const to = above.place
      this.#put(above, place)
      this.#put(ranked, to)
      place = to
    }
  }

  #sink(ranked: Ranked<T>): void {
    for (;;) {
      const { place } = ranked
      const below = this.#lesser(2 * place + 1)
      if (below === undefined || below.rank >= ranked.rank) return
      this.#put(ranked, below.place)
      this.#put(below, place)
    }
  }

  /** The lesser one of two that stand side by side. */
  #lesser(place: number): Ranked<T> | undefined {
    const left = this.#heap[place]
    const right = this.#heap[place + 1]
    return left !== undefined && right !== undefined && right.rank < left.rank ? right : left
  }

  #put(ranked: Ranked<T>, place: number): void {
    this.#heap[place] = ranked
    ranked.place = place
  }
}
