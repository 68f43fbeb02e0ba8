import { sha256 } from '@varve/store'

/** Numbers in [0, 1) that follow from the seed alone. */
export function seededRandom(seed: number): () => number {
  let count = 0
  return () => Number.parseInt(sha256(`${seed}/${count++}`).slice(0, 12), 16) / 2 ** 48
}
