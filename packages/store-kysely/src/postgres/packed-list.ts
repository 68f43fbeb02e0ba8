import { sql, type RawBuilder } from 'kysely'

/** Between the texts of a list. No id may hold it, nor may JSON. */
const SEPARATOR = '\u001f'

/** Stands for null. */
const NULL = '\u001e'

/** The list of what {@link packedTexts} made. Control characters, so that no collation or encoding makes a difference. */
export function unpackedTexts(packed: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`string_to_array(cast(${packed} as text), chr(31), chr(30))`
}

/**
 * Texts as one: neither the driver nor the server has to look for quotes in it.
 *
 * @throws TypeError when a text holds the separator.
 */
export function packedTexts(values: readonly (string | null)[]): string {
  let packed = ''
  let isFirst = true
  for (const value of values) {
    packed += isFirst ? '' : SEPARATOR
    packed += value ?? NULL
    isFirst = false
  }
  let separators = 0
  for (let at = packed.indexOf(SEPARATOR); at >= 0; at = packed.indexOf(SEPARATOR, at + 1)) separators++
  if (separators > Math.max(0, values.length - 1))
    throw new TypeError('a text holds the character that separates texts')
  return packed
}

/** Integers as the text of an array. */
export function packedIntegers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? 'null').join(',')}}`
}
