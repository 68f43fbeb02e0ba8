import { isStoreError, StoreError } from '../errors.ts'
import type { Json } from './json.ts'
import { plainCopy } from './plain-copy.ts'

/** Bounds and name of a value that is made canonical. */
export interface CanonicalOptions {
  /** Name of the value in error paths. Default `value`. */
  readonly name?: string
  /** How deep arrays and objects may nest. Default 100. */
  readonly maxDepth?: number
}

/** A value's canonical text, and a copy of the value that shares nothing with it. */
export interface Canonical {
  readonly text: string
  /** Equal to `JSON.parse(text)`, the order of properties included. */
  readonly copy: Json
}

/**
 * Canonical JSON after RFC 8785: sorted keys, shortest numbers, no white space; and in the same walk a detached copy,
 * so that whoever goes on working with the value sees exactly what a later reader of the text will see.
 *
 * @throws {@link StoreError} `NOT_JSON` with the path of the first part that would be lost or changed: `undefined`,
 * NaN, Infinity, BigInt, symbols, functions, class instances (Date, Map, …), holes in arrays, lone surrogates, and
 * integers beyond 2^53 − 1; or that cannot be read, such as a getter that throws. `LIMIT_EXCEEDED` when it nests deeper than
 * `maxDepth` (as a cycle does).
 */
export function canonicalize(value: unknown, options: CanonicalOptions = {}): Canonical {
  return quickly(value, options.maxDepth ?? 100) ?? walked(value, options)
}

/** In half the time, for most values; undefined where the walk has to find out what is different, or wrong. */
function quickly(value: unknown, maxDepth: number): Canonical | undefined {
  // Some libraries add one, of which `JSON.stringify` would ask what to write.
  if ('toJSON' in Array.prototype) return undefined
  let copy: Json | undefined
  try {
    copy = plainCopy(value, maxDepth)
  } catch {
    return undefined
  }
  if (copy === undefined) return undefined
  const text = JSON.stringify(copy)
  // Lone surrogates, and nothing else, are written as escapes that begin so; an escaped backslash may look like one.
  return text.includes('\\ud') ? undefined : { text, copy }
}

function walked(value: unknown, options: CanonicalOptions): Canonical {
  const walk: Walk = { path: [options.name ?? 'value'], maxDepth: options.maxDepth ?? 100, text: '' }
  try {
    const copy = visit(value, walk)
    return { text: walk.text, copy }
  } catch (cause) {
    throw isStoreError(cause) ? cause : unreadable(walk, cause)
  }
}

/** The text of {@link canonicalize} alone. */
export function canonicalJson(value: unknown, options?: CanonicalOptions): string {
  return canonicalize(value, options).text
}

interface Walk {
  readonly path: (string | number)[]
  readonly maxDepth: number
  text: string
}

function visit(value: unknown, walk: Walk): Json {
  switch (typeof value) {
    case 'string':
      return visitString(value, walk)
    case 'number':
      return visitNumber(value, walk)
    case 'boolean':
      walk.text += value ? 'true' : 'false'
      return value
    case 'object':
      if (value === null) {
        walk.text += 'null'
        return null
      }
      if (walk.path.length > walk.maxDepth) throw tooDeep(walk)
      return Array.isArray(value) ? visitArray(value, walk) : visitObject(value, walk)
    default:
      throw notJson(walk, value === undefined ? 'undefined' : `a ${typeof value}`)
  }
}

function visitString(value: string, walk: Walk): string {
  if (!value.isWellFormed()) throw notJson(walk, 'a string with a lone surrogate')
  walk.text += JSON.stringify(value)
  return value
}

function visitNumber(value: number, walk: Walk): number {
  if (!Number.isFinite(value)) throw notJson(walk, String(value))
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw notJson(walk, 'an integer beyond 2^53 - 1')
  // ECMAScript's own number format is the one that RFC 8785 prescribes; it writes -0 as 0.
  walk.text += String(value)
  return value === 0 ? 0 : value
}

function visitArray(value: readonly unknown[], walk: Walk): Json[] {
  if (Object.keys(value).length !== value.length) throw notJson(walk, 'an array with holes or named properties')
  if (Object.getOwnPropertySymbols(value).length > 0) throw notJson(walk, 'an array with a symbol as key')
  const copy: Json[] = new Array<Json>(value.length)
  const last = walk.path.push(0) - 1
  walk.text += '['
  for (let i = 0; i < value.length; i++) {
    if (i > 0) walk.text += ','
    walk.path[last] = i
    copy[i] = visit(value[i], walk)
  }
  walk.text += ']'
  walk.path.pop()
  return copy
}

function visitObject(value: object, walk: Walk): Json {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && !isForeignPlain(prototype)) {
    throw notJson(walk, `an instance of ${className(value)}`)
  }
  if (Object.getOwnPropertySymbols(value).length > 0) throw notJson(walk, 'an object with a symbol as key')
  const copy: Record<string, Json> = {}
  const last = walk.path.push('') - 1
  // Without a comparator `sort` orders by UTF-16 code units, which is the order of RFC 8785.
  const keys = Object.keys(value).sort()
  walk.text += '{'
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string
    walk.path[last] = key
    if (i > 0) walk.text += ','
    visitString(key, walk)
    walk.text += ':'
    const child = visit((value as Record<string, unknown>)[key], walk)
    if (key === '__proto__') Object.defineProperty(copy, key, { value: child, ...plainProperty })
    else copy[key] = child
  }
  walk.text += '}'
  walk.path.pop()
  return copy
}

const plainProperty = { writable: true, enumerable: true, configurable: true }

/** Plain objects of another realm (`vm`, worker test pools) have an `Object.prototype` that is not ours. */
function isForeignPlain(prototype: unknown): boolean {
  return (
    typeof prototype === 'object' &&
    prototype !== null &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, 'isPrototypeOf')
  )
}

function className(value: object): string {
  const constructor: unknown = (value as { constructor?: unknown }).constructor
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'a class'
}

function notJson(walk: Walk, what: string): StoreError {
  const path = formatPath(walk.path)
  return new StoreError('NOT_JSON', `${path} is ${what}, which JSON cannot keep; turn it into plain JSON first`, {
    path,
  })
}

/** A getter or a proxy that throws. What it says is the cause alone: it may hold what must not be recorded. */
function unreadable(walk: Walk, cause: unknown): StoreError {
  const path = formatPath(walk.path)
  return new StoreError('NOT_JSON', `${path} cannot be read: it throws; turn it into plain JSON first`, { path, cause })
}

function tooDeep(walk: Walk): StoreError {
  const path = formatPath(walk.path)
  const text = `nested deeper than ${walk.maxDepth} levels (a cycle?) at ${beginningOf(walk.path)}; flatten the value`
  return new StoreError('LIMIT_EXCEEDED', text, { path })
}

/** As many parts of a path as are short. None is cut: a part of a secret would be found by nobody who takes secrets out. */
function beginningOf(path: readonly (string | number)[]): string {
  let shown = formatPath(path.slice(0, 1))
  for (let parts = 2; parts <= path.length; parts++) {
    const longer = formatPath(path.slice(0, parts))
    if (longer.length > SHORT_PATH) break
    shown = longer
  }
  return shown
}

const SHORT_PATH = 120

/** `['input', 'items', 3, 'a b']` as `input.items[3]["a b"]`. */
export function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((part, i) => {
      if (typeof part === 'number') return `[${part}]`
      if (i === 0) return part
      return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`
    })
    .join('')
}
