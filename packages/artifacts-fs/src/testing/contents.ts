/** Chunks of a content. */
export const CHUNKS = 6

/** A chunk of the n-th content. */
export function chunkOf(content: number, chunk: number): Uint8Array {
  return Buffer.alloc(300_000, `content ${content}, chunk ${chunk};`)
}

/** What processes fight about. */
export const raced = Buffer.alloc(100_000, 'what they fight about')
