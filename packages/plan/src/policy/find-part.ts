import { formatPath, StoreError, type Json } from '@varve/store'

/** One value within another, and where it is. */
export interface Part {
  readonly value: Json
  readonly path: readonly (string | number)[]
}

/** What to do with a part: that is it, look no further inside, or go on. */
export type Verdict<T> = { readonly found: T } | 'leave out' | undefined

const MAX_DEPTH = 100

/**
 * The first part of a JSON value that is what `look` looks for, outer ones before what is in them, in the order of properties.
 *
 * @throws StoreError `LIMIT_EXCEEDED` for what nests deeper than any log takes, as a cycle does.
 */
export function findPart<T>(value: Json, name: string, look: (part: Part) => Verdict<T>): T | undefined {
  const path: (string | number)[] = [name]
  const search = (part: Json): T | undefined => {
    const verdict = look({ value: part, path })
    if (verdict === 'leave out') return undefined
    if (verdict !== undefined) return verdict.found
    if (typeof part !== 'object' || part === null) return undefined
    if (path.length > MAX_DEPTH) {
      throw new StoreError('LIMIT_EXCEEDED', `${name} is nested deeper than ${MAX_DEPTH} levels; flatten the value`)
    }
    for (const [key, inner] of Object.entries(part as Readonly<Record<string, Json>>)) {
      path.push(Array.isArray(part) ? Number(key) : key)
      const found = search(inner)
      if (found !== undefined) return found
      path.pop()
    }
    return undefined
  }
  return search(value)
}

/** A path as errors show it. */
export function pathOf({ path }: Part): string {
  return formatPath(path)
}
