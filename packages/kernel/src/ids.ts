import { v7 } from 'uuid'

/** The last number that a UUID of version 7 holds beside its time, which tells those of one millisecond apart. */
const LAST_NUMBER = 2 ** 32 - 1

/**
 * Makes UUIDs of version 7, each behind the one before it also when the clock stands still or goes back. What is begun
 * together so stands together in the indexes of a database, of which few pages are written then.
 *
 * @param now Unix milliseconds.
 * @param random 16 random bytes.
 */
export function orderedIds(now: () => number, random: () => Uint8Array): () => string {
  let msecs = -1
  let seq = 0
  return () => {
    const bytes = random()
    const at = Math.max(0, Math.floor(now()))
    if (at > msecs) {
      msecs = at
      // Half of the numbers, at least, are left for those that follow.
      seq = new DataView(bytes.buffer, bytes.byteOffset).getUint32(6) >>> 1
    } else if (seq < LAST_NUMBER) seq++
    else {
      msecs++
      seq = 0
    }
    return inOnePiece(v7({ msecs, seq, random: bytes }))
  }
}

/** The engine keeps a text that was put together as its parts until somebody reads it whole: with the run, in our case. */
function inOnePiece(ascii: string): string {
  return Buffer.from(ascii, 'latin1').toString('latin1')
}

/** How many numbers of 16 bytes are drawn at once: one call of the system takes as long as the rest of a short run's start. */
const DRAWN = 256

/**
 * Random bytes, 16 for each call, of which many are drawn at once.
 *
 * @param fill - puts random bytes into the whole array.
 */
export function randomBytesOf(fill: (bytes: Uint8Array<ArrayBuffer>) => unknown): () => Uint8Array {
  const drawn = new Uint8Array(16 * DRAWN)
  let next = drawn.length
  return () => {
    if (next === drawn.length) {
      fill(drawn)
      next = 0
    }
    // A copy: nobody who keeps it sees what is drawn later.
    return drawn.slice(next, (next += 16))
  }
}

/** {@link orderedIds} of the system's random bytes. */
export function randomIds(now: () => number): () => string {
  return orderedIds(
    now,
    randomBytesOf((bytes) => crypto.getRandomValues(bytes)),
  )
}
