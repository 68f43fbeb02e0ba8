import type { Json } from './json.ts'

/**
 * A copy with sorted properties of a value that `JSON.stringify` writes as RFC 8785 wants it, which is nearly every one;
 * undefined for all others, and for what is no JSON. Lone surrogates are for the caller to find in the text.
 *
 * Written for speed, as every event comes by here: it keeps no path and calls little.
 *
 * @param room - how deep arrays and objects may nest.
 */
export function plainCopy(value: unknown, room: number): Json | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) return undefined
      return value === 0 ? 0 : value
    case 'object':
      if (value === null) return null
      if (room < 1 || Object.getOwnPropertySymbols(value).length > 0) return undefined
      return Array.isArray(value) ? copyArray(value, room) : copyObject(value, room)
    default:
      return undefined
  }
}

function copyArray(value: readonly unknown[], room: number): Json[] | undefined {
  if (Object.keys(value).length !== value.length) return undefined
  const copy: Json[] = new Array<Json>(value.length)
  for (let i = 0; i < value.length; i++) {
    const child = plainCopy(value[i], room - 1)
    if (child === undefined) return undefined
    copy[i] = child
  }
  return copy
}

function copyObject(value: object, room: number): Json | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return undefined
  const keys = sortedKeys(value)
  const copy: Record<string, Json> = {}
  for (const key of keys) {
    if (isWrittenElsewhere(key)) return undefined
    const child = plainCopy((value as Record<string, unknown>)[key], room - 1)
    if (child === undefined) return undefined
    copy[key] = child
  }
  return copy
}

/** More keys than that are sorted by the language, which allocates several times the keys for it. */
const FEW_KEYS = 24

/**
 * Comparison and `sort` go by UTF-16 code units, which is the order of RFC 8785. Few keys are moved one by one: to call
 * `copyWithin` for them takes four times as long.
 */
function sortedKeys(value: object): string[] {
  const keys = Object.keys(value)
  if (keys.length > FEW_KEYS) return keys.sort()
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] as string
    let place = i
    for (let before: string; place > 0 && (before = keys[place - 1] as string) > key; place--) keys[place] = before
    // What comes from a log is sorted already.
    if (place < i) keys[place] = key
  }
  return keys
}

/** Objects have integers before all other keys, in the order of numbers; and `__proto__` cannot be assigned. */
function isWrittenElsewhere(key: string): boolean {
  const first = key.charCodeAt(0)
  return (first >= 48 && first <= 57 && String(Number(key) >>> 0) === key) || key === '__proto__'
}
