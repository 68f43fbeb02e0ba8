import { fingerprintOfText, type ClosedItem } from './item.ts'

/** Closed items as a snapshot holds them: in bins of text, each of which can be taken apart, or added to, without the others. */
export interface SavedItems {
  readonly count: number
  /** What the items are of, each told once. */
  readonly names: readonly ItemName[]
  /**
   * Those bins that hold any, by their numbers. Of each item there is a line, which ends with a line break: key, place of its name,
   * fingerprint and, if there is one, its error as JSON, with tabs in between.
   */
  readonly bins: readonly (readonly [number: number, lines: string])[]
}

const NOTHING_SAVED: SavedItems = { count: 0, names: [], bins: [] }

type ItemName = readonly [kind: ClosedItem['kind'], name: string]

/** So many bins that each is small, as far as logs may grow. Belongs to the format of snapshots. */
const BINS = 256

/**
 * The closed items of a run by key. A long run has many, and one that is resumed asks for few: those of a snapshot stay text, bin by
 * bin, until a key is asked for that could be in it.
 */
export class ClosedItems implements Iterable<readonly [key: string, item: ClosedItem]> {
  readonly #names: ItemName[]
  /** The place of each in the list, by kind and name. */
  #places: Map<string, number> | undefined
  #lastPlace = 0
  #bins: Map<number, string> | undefined
  /** How many items are in the bins. */
  #written: number
  /** Keys of all others, in the order in which they closed. */
  readonly #unwritten: string[] = []
  /** Numbers of the bins of which the items are not known yet. */
  readonly #closedBins: Set<number> | undefined
  readonly #items = new Map<string, ClosedItem>()

  /** @param saved - those that closed before. @throws TypeError for what {@link ClosedItems.saved} cannot have made. */
  constructor(saved: SavedItems = NOTHING_SAVED) {
    const { count, names } = saved
    if (!Number.isInteger(count)) throw new TypeError('these are no closed items')
    this.#written = count
    this.#names = [...names]
    if (saved === NOTHING_SAVED) return
    this.#places = new Map(names.map(([kind, name], place) => [`${kind} ${name}`, place]))
    this.#bins = new Map([...saved.bins])
    this.#closedBins = new Set(this.#bins.keys())
  }

  get size(): number {
    return this.#written + this.#unwritten.length
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  get(key: string): ClosedItem | undefined {
    const item = this.#items.get(key)
    if (item !== undefined || this.#closedBins === undefined || this.#closedBins.size === 0) return item
    return this.#open(binOf(key)) ? this.#items.get(key) : undefined
  }

  /** Keeps an item that has closed. A key closes once: that it is not here yet is for the caller to know. */
  add(key: string, item: ClosedItem): void {
    this.#items.set(key, item)
    this.#unwritten.push(key)
  }

  /** In no order. */
  [Symbol.iterator](): IterableIterator<[key: string, item: ClosedItem]> {
    for (const bin of this.#closedBins ?? []) this.#open(bin)
    return this.#items.entries()
  }

  /**
   * Those that closed first, as a snapshot holds them. Written are only those that were not before.
   *
   * @param count - how many; no fewer than the last time.
   */
  saved(count: number): SavedItems {
    if (count < this.#written) throw new RangeError(`${this.#written} closed items are written already, not ${count}`)
    for (const key of this.#unwritten.splice(0, count - this.#written)) this.#write(key)
    return { count: this.#written, names: [...this.#names], bins: [...(this.#bins ?? [])] }
  }

  #write(key: string): void {
    const item = this.#items.get(key) as ClosedItem
    const { kind, name, error } = item
    const fingerprint = fingerprintOfText(item.fingerprint)
    if (fingerprint !== item.fingerprint) this.#items.set(key, { ...item, fingerprint })
    const ending = error === undefined ? '\n' : `\t${JSON.stringify(error)}\n`
    const line = `${writtenKey(key)}\t${this.#placeOf(kind, name)}\t${fingerprint}${ending}`
    const bin = binOf(key)
    this.#bins ??= new Map()
    this.#bins.set(bin, (this.#bins.get(bin) ?? '') + line)
    this.#written++
  }

  #placeOf(kind: ClosedItem['kind'], name: string): number {
    // Most that close one after the other are alike.
    const last = this.#names[this.#lastPlace]
    if (last?.[1] === name && last[0] === kind) return this.#lastPlace
    this.#places ??= new Map()
    const known = this.#places.get(`${kind} ${name}`)
    if (known !== undefined) return (this.#lastPlace = known)
    const place = this.#names.push([kind, name]) - 1
    this.#places.set(`${kind} ${name}`, place)
    return place
  }

  /** Takes a bin apart. @returns false when that is done already, or nothing was in it. */
  #open(bin: number): boolean {
    if (this.#closedBins?.delete(bin) !== true) return false
    for (const line of (this.#bins?.get(bin) as string).split('\n')) {
      if (line === '') continue
      const [key, place, fingerprint, error] = line.split('\t') as [string, string, string, string?]
      const [kind, name] = this.#names[Number(place)] as ItemName
      const item = { kind, name, fingerprint }
      this.#items.set(readKey(key), error === undefined ? item : { ...item, error: JSON.parse(error) as ItemError })
    }
    return true
  }
}

type ItemError = NonNullable<ClosedItem['error']>

/** The same in every process: FNV-1a of the key. */
function binOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % BINS
}

/** No key of ours has control characters, but a log may come from elsewhere. */
const CLASHES = /^"|[\p{Cc}\p{Cs}]/u

/** The key, or its JSON text where it would be taken for something else. */
function writtenKey(key: string): string {
  return CLASHES.test(key) ? JSON.stringify(key) : key
}

function readKey(written: string): string {
  return written.startsWith('"') ? (JSON.parse(written) as string) : written
}
