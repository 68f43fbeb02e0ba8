/**
 * A copy that shares nothing with `value` and cannot be changed, so that it can be handed out as it is: what a database
 * gains by writing and reading.
 */
export function frozenCopy<T>(value: T): T {
  return freeze(structuredClone(value))
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const child of Object.values(value)) freeze(child)
  return Object.freeze(value)
}
