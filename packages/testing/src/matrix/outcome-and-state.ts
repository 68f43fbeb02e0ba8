import type { EndedRun } from './scenario.ts'

/**
 * What is compared of a run where its scenario does not say. The reference to a secret is drawn anew in each case, so that secrets are
 * compared by their places alone: where one stands, and where the same one stands again.
 */
export function outcomeAndState({ outcome, state }: EndedRun): unknown {
  const ids: string[] = []
  return namedByPlace({ outcome, state }, ids)
}

function namedByPlace(value: unknown, ids: string[]): unknown {
  if (Array.isArray(value)) return value.map((part) => namedByPlace(part, ids))
  if (!isPlain(value)) return value
  const { $secret: id } = value
  if (typeof id === 'string' && 'commitment' in value) {
    if (!ids.includes(id)) ids.push(id)
    return { $secret: ids.indexOf(id) + 1 }
  }
  // In the order of the keys: a state that comes from a snapshot may have another one.
  const keys = Object.keys(value).sort()
  return Object.fromEntries(keys.map((key) => [key, namedByPlace(value[key], ids)]))
}

/** What a state holds besides, such as a Map, is compared as it is. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
