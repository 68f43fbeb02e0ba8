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
 * Texts of rows as one: neither the driver nor the server has to look for quotes in it.
 *
 * @throws TypeError when a text holds the separator.
 */
export function packedTexts<Row>(rows: readonly Row[], textOf: (row: Row) => string | null): string {
  let packed = ''
  let isFirst = true
  for (const row of rows) {
    packed += isFirst ? '' : SEPARATOR
    packed += textOf(row) ?? NULL
    isFirst = false
  }
  let separators = 0
  for (let at = packed.indexOf(SEPARATOR); at >= 0; at = packed.indexOf(SEPARATOR, at + 1)) separators++
  if (separators > Math.max(0, rows.length - 1)) throw new TypeError('a text holds the character that separates texts')
  return packed
}

/** True for a text that {@link packedTexts} may be given. */
export function isPackable(text: string): boolean {
  return !text.includes(SEPARATOR) && text !== NULL
}

/** Integers of rows as the text of an array. */
export function packedIntegers<Row>(rows: readonly Row[], integerOf: (row: Row) => number | null): string {
  let packed = '{'
  let isFirst = true
  for (const row of rows) {
    packed += isFirst ? '' : ','
    packed += String(integerOf(row))
    isFirst = false
  }
  return `${packed}}`
}
