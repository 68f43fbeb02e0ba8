import type { Json } from '@varve/store'
import { findPart, pathOf } from './find-part.ts'

/** A number that is not exact, and where it is. */
export interface InexactNumber {
  readonly path: string
  readonly value: number
}

/**
 * The first number that is not a whole one which every reader of JSON keeps: fractions, integers beyond 2^53 − 1, −0, and what is
 * no number at all. Sums of fractions depend on their order, and other languages read large integers differently.
 *
 * @param name - what the value is called in paths. Default `value`.
 */
export function findInexactNumber(value: Json, name = 'value'): InexactNumber | undefined {
  return findPart(value, name, (part) => {
    if (typeof part.value !== 'number' || isExact(part.value)) return undefined
    return { found: { path: pathOf(part), value: part.value } }
  })
}

function isExact(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0)
}
