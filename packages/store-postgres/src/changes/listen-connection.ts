import { statement } from '../connection.ts'
import type { PostgresClient } from '../pool.ts'

/** A connection that nobody else uses, and that keeps no process alive. */
export interface Ear {
  readonly client: Pick<PostgresClient, 'query' | 'on'>
  /** Closes the connection; neither throws nor waits for ever. */
  readonly close: () => Promise<void>
}

/** Opens one. Rejects when the signal says that nobody listens any more. */
export type OpenEar = (signal: AbortSignal) => Promise<Ear>

/** The pauses before a lost connection is made again, in milliseconds: from the first on each is twice the one before. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000

/**
 * Hears a channel on one connection, and makes it again whenever it is lost. It keeps no process alive, and no failure of
 * it is anybody's error: without it nobody is told, and who waits for a run looks at it again after a while.
 */
export class ListenConnection {
  readonly #open: OpenEar
  readonly #channel: string
  readonly #hear: (payload: string | undefined) => void
  readonly #ended = new AbortController()
  #opening: Promise<void>
  #ear: Ear | undefined
  #heardAt = Infinity
  #pauseMs = FIRST_PAUSE_MS
  #retry: NodeJS.Timeout | undefined

  /** @param hear - called with each payload, and with undefined whenever the connection is up: what was before is lost. */
  constructor(open: OpenEar, channel: string, hear: (payload: string | undefined) => void) {
    this.#open = open
    this.#channel = channel
    this.#hear = (payload) => {
      if (!this.#ended.signal.aborted) hear(payload)
    }
    this.#opening = this.#listen()
  }

  /** Ends it; nothing is heard from this call on. */
  async close(): Promise<void> {
    this.#ended.abort()
    clearTimeout(this.#retry)
    await this.#ear?.close()
    await this.#opening
  }

  async #listen(): Promise<void> {
    const ear = await this.#open(this.#ended.signal).catch(() => undefined)
    if (this.#ended.signal.aborted) return ear?.close()
    if (ear === undefined) {
      this.#retryLater()
      return
    }
    this.#ear = ear
    ear.client.on('error', () => {
      this.#lose(ear)
    })
    ear.client.on('notification', ({ payload }) => {
      if (payload !== undefined) this.#hear(payload)
    })
    try {
      // The name is for whoever looks at the connections of the server.
      await ear.client.query(statement(`listen ${this.#channel}; set application_name to 'varve listen'`))
      this.#heardAt = performance.now()
      this.#hear(undefined)
    } catch {
      this.#lose(ear)
    }
  }

  /** Of the errors of one connection the first counts. */
  #lose(ear: Ear): void {
    if (ear !== this.#ear || this.#ended.signal.aborted) return
    this.#ear = undefined
    void ear.close()
    // One that is lost again and again soon after it was made is not made every 100 ms.
    if (performance.now() - this.#heardAt > LONGEST_PAUSE_MS) this.#pauseMs = FIRST_PAUSE_MS
    this.#heardAt = Infinity
    this.#retryLater()
  }

  #retryLater(): void {
    this.#retry = setTimeout(() => {
      this.#opening = this.#listen()
    }, this.#pauseMs).unref()
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS)
  }
}
