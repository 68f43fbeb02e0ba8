/** True once a secret stands in what was given so far, also across the border between two chunks. */
export type SearchBytes = (chunk: Uint8Array) => boolean

/** Looks for texts in bytes that come in chunks. */
export function searchBytes(texts: readonly string[]): SearchBytes {
  const needles = texts.map((text) => Buffer.from(text))
  const kept = Math.max(0, ...needles.map((needle) => needle.byteLength - 1))
  let tail: Buffer = Buffer.alloc(0)
  return (chunk) => {
    if (needles.length === 0) return false
    const window = Buffer.concat([tail, chunk])
    // A copy: whoever gave the chunk may use its memory again.
    tail = Buffer.from(window.subarray(Math.max(0, window.byteLength - kept)))
    return needles.some((needle) => window.includes(needle))
  }
}
