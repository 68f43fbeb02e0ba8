import { watch, type FSWatcher } from 'node:fs'

/**
 * When to look after a write, in ms: a log is written before it is flushed, and only what is flushed is a commit that others
 * see. So the later it shows, the longer it took, and the less a longer pause adds.
 */
const LOOKS_MS = [0, 1, 2, 3, 5, 8, 12, 18]

/** Looks follow each other no sooner than this, however many writes there are. */
const LEAST_MS = 1

/** Who has written so short a time ago most likely writes on. */
const OWN_MS = 20

/** How often to look while we write ourselves. */
const REST_MS = 5

/**
 * Looks whenever the system tells of a write to a database's log, and a few times after. A hint and no more: where files cannot
 * be watched, or the system tells of nothing, nothing happens.
 *
 * While we write ourselves the log is not watched, for the system would tell of each page of ours: it is looked for others'
 * writes every few milliseconds then.
 *
 * @param file - of the database; its log lies beside it.
 * @param sinceOwnMs - How long ago we have written to it.
 * @returns what ends it.
 */
export function onLogWrites(file: string, look: () => void, sinceOwnMs: () => number): () => void {
  const watch = new LogWatch(`${file}-wal`, look, sinceOwnMs)
  return () => {
    watch.end()
  }
}

class LogWatch {
  readonly #log: string
  readonly #look: () => void
  readonly #sinceOwnMs: () => number
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #lookedAt = -Infinity

  constructor(log: string, look: () => void, sinceOwnMs: () => number) {
    this.#log = log
    this.#look = look
    this.#sinceOwnMs = sinceOwnMs
    this.#watch()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#watcher?.close()
  }

  #watch(): void {
    this.#watcher = watching(this.#log, () => this.#written())
  }

  #written(): void {
    if (this.#sinceOwnMs() < OWN_MS) this.#rest()
    else if (performance.now() - this.#lookedAt >= LEAST_MS) this.#lookAt(0)
    else this.#lookLater(1)
  }

  #lookAt(step: number): void {
    this.#look()
    this.#lookedAt = performance.now()
    this.#lookLater(step + 1)
  }

  #lookLater(step: number): void {
    clearTimeout(this.#timer)
    const ms = (LOOKS_MS[step] ?? Infinity) - (LOOKS_MS[step - 1] ?? 0)
    if (Number.isFinite(ms)) this.#timer = setTimeout(() => this.#lookAt(step), ms).unref()
  }

  #rest(): void {
    this.#watcher?.close()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (this.#sinceOwnMs() < OWN_MS) {
        this.#look()
        this.#rest()
      } else {
        // What is on its way into the log already is not told of any more, so it is looked for as if it had been.
        this.#watch()
        this.#lookAt(0)
      }
    }, REST_MS).unref()
  }
}

/** Undefined where it cannot be watched: there may be no such means, or none left. */
function watching(file: string, written: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(file, { persistent: false }, (kind) => {
      if (kind === 'change') written()
    })
    return watcher.on('error', () => {
      watcher.close()
    })
  } catch {
    return undefined
  }
}
