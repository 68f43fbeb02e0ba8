import { canonicalJson, type Json } from '@varve/store'

/**
 * True only for a value that is written like another one, which a log holds; false where only writing both would tell, as for
 * one whose properties are in no canonical order.
 */
export function isSameJson(value: unknown, parsed: Json, room: number): boolean {
  switch (typeof parsed) {
    case 'number':
      return value === parsed && isExact(parsed)
    case 'object':
      if (parsed === null) return value === null
      if (typeof value !== 'object' || value === null || room < 1) return false
      if (Object.getOwnPropertySymbols(value).length > 0) return false
      return Array.isArray(parsed) ? isSameArray(value, parsed, room) : isSameObject(value, parsed, room)
    default:
      return value === parsed
  }
}

function isSameArray(value: object, parsed: readonly Json[], room: number): boolean {
  if (!Array.isArray(value) || value.length !== parsed.length) return false
  if (Object.keys(value).length !== parsed.length) return false
  for (let i = 0; i < parsed.length; i++) if (!isSameJson(value[i], parsed[i] as Json, room - 1)) return false
  return true
}

function isSameObject(value: object, parsed: object, room: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  const keys = Object.keys(value)
  let count = 0
  let before = ''
  // As many properties, and none that the other has not.
  for (const key in parsed) {
    if (key < before) return false
    before = key
    count++
  }
  if (keys.length !== count) return false
  for (const key of keys) {
    if (!Object.hasOwn(parsed, key)) return false
    const part = (value as Readonly<Record<string, unknown>>)[key]
    if (!isSameJson(part, (parsed as Readonly<Record<string, Json>>)[key] as Json, room - 1)) return false
  }
  return true
}

/** How deep arrays and objects may nest, as for {@link canonicalJson}. */
const ROOM = 100

/** The canonical JSON of a value that a log holds, which is in canonical order nearly always, so that no copy is needed. */
export function textOfJson(value: Json): string {
  const text = isInOrder(value, ROOM) ? JSON.stringify(value) : canonicalJson(value)
  return text.includes('\\ud') ? canonicalJson(value) : text
}

function isInOrder(value: Json, room: number): boolean {
  if (typeof value === 'number') return isExact(value)
  if (typeof value !== 'object' || value === null) return true
  if (room < 1) return false
  if (Array.isArray(value)) {
    for (const part of value) if (!isInOrder(part as Json, room - 1)) return false
    return true
  }
  const parts = value as Readonly<Record<string, Json>>
  let before = ''
  for (const key in parts) {
    if (key < before || !isInOrder(parts[key] as Json, room - 1)) return false
    before = key
  }
  return true
}

function isExact(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
}
