import { formatPath } from '@varve/store'

/** What a visitor says of one part of a value: put this in its place, or look inside. */
export type Visit = (part: object, path: () => string) => { readonly replacement: unknown } | undefined

/** How deep to look. What is nested deeper is refused by whoever makes the value canonical. */
interface Walk {
  readonly visit: Visit
  readonly path: (string | number)[]
  readonly maxDepth: number
}

class TooDeep extends Error {}

/**
 * A value with some parts replaced; the value itself when none is. Looks into arrays and plain objects and leaves everything
 * else as it is, so that what is no JSON is refused later, with its path.
 */
export function replaceParts(value: unknown, visit: Visit, options: { name: string; maxDepth: number }): unknown {
  try {
    return replace(value, { visit, path: [options.name], maxDepth: options.maxDepth })
  } catch (error) {
    if (!(error instanceof TooDeep)) throw error
    return value
  }
}

function replace(value: unknown, walk: Walk): unknown {
  if (typeof value !== 'object' || value === null) return value
  const visited = walk.visit(value, () => formatPath(walk.path))
  if (visited !== undefined) return visited.replacement
  if (!Array.isArray(value) && !isPlain(value)) return value
  // A cycle would never end.
  if (walk.path.length > walk.maxDepth) throw new TooDeep()
  let copy: object | undefined
  const last = walk.path.push(0) - 1
  for (const key of Object.keys(value)) {
    const child = (value as Readonly<Record<string, unknown>>)[key]
    // Every input and output comes by here, and most of their parts are no objects.
    if (typeof child !== 'object' || child === null) continue
    walk.path[last] = Array.isArray(value) ? Number(key) : key
    const replaced = replace(child, walk)
    if (replaced === child) continue
    copy ??= Array.isArray(value) ? [...(value as unknown[])] : { ...value }
    // Not an assignment, which would take the name `__proto__` for something else.
    Object.defineProperty(copy, key, { value: replaced, writable: true, enumerable: true, configurable: true })
  }
  walk.path.pop()
  return copy ?? value
}

/** True for an object that is nothing but its properties. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
