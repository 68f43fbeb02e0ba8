import { StoreError } from './errors.ts'

/** Of a longer text nothing is shown: whoever takes secrets out of an error's text finds none that was cut. */
const MOST_SHOWN = 80

/** A value for the text of an error: a short text in quotes, a number as it is, of all else what kind of thing it is. Never throws. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > MOST_SHOWN ? `a text of ${value.length} characters` : JSON.stringify(value)
    case 'bigint':
      return 'a bigint'
    case 'object':
      return value === null ? 'null' : kindOf(value)
    case 'symbol':
    case 'function':
      return `a ${typeof value}`
    default:
      return String(value)
  }
}

function kindOf(value: object): string {
  try {
    return Array.isArray(value) ? 'a list' : 'an object'
  } catch {
    return 'an object that cannot be read'
  }
}

/** Where a text is never right it may be anything, such as an address with a password. */
function unquoted(value: unknown): string {
  return typeof value === 'string' ? 'a text' : shown(value)
}

/** @throws StoreError `INVALID_ARGUMENT` for anything but an object, as a text or a list is given by mistake. */
export function checkOptions(what: string, options: unknown): void {
  if (typeof options === 'object' && options !== null && kindOf(options) === 'an object') return
  throw new StoreError('INVALID_ARGUMENT', `${what} must be an object, got ${unquoted(options)}`)
}

/** A text is none, though it can be spread as one. @throws StoreError `INVALID_ARGUMENT`. */
export function checkList(what: string, list: unknown): asserts list is readonly unknown[] {
  if (typeof list === 'object' && list !== null && kindOf(list) === 'a list') return
  throw new StoreError('INVALID_ARGUMENT', `${what} must be a list, got ${unquoted(list)}`)
}

/** @throws StoreError `INVALID_ARGUMENT` unless the value is one of these. */
export function checkOneOf(what: string, value: unknown, allowed: readonly (string | boolean)[]): void {
  if (allowed.some((each) => each === value)) return
  throw new StoreError('INVALID_ARGUMENT', `${what} must be ${allowed.join(' or ')}, got ${shown(value)}`)
}

/** The names that options of a type may have, in an object, so that the compiler holds the list complete. */
export type NamesOf<Options> = Readonly<Record<Options extends unknown ? keyof Options : never, true>>

/**
 * What an object of options has that nobody reads is misspelt, and what was meant would be passed over without a word. What an
 * instance of a class has besides is its own.
 *
 * @throws StoreError `INVALID_ARGUMENT`.
 */
export function checkNames(what: string, options: object, names: Readonly<Record<string, true>>): void {
  if (!isPlain(options)) return
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name))
  if (unknown === undefined) return
  const known = Object.keys(names).join(', ')
  throw new StoreError('INVALID_ARGUMENT', `${what} has no option ${shown(unknown)}, only ${known}`)
}

/** Also for an object of another realm, such as a test runner's. */
function isPlain(options: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(options)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** True for a number from there on: neither NaN nor what only compares as one, such as a text of digits. */
export function isFrom(least: number, value: unknown): value is number {
  return typeof value === 'number' && value >= least
}
