import { isFrom } from '@varve/store'

/** What is added to a time must leave it a whole number: 142,000 years, in ms. */
const LONGEST_MS = 2 ** 52

/** True for a number of ms from 0 that can be added to a time. */
export function isSpan(ms: unknown): ms is number {
  return isFrom(0, ms) && ms <= LONGEST_MS
}

/** What {@link isSpan} asks for, in the text of an error. */
export const A_SPAN = 'a number of ms from 0 to 2^52'
