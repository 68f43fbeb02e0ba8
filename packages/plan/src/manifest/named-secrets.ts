import { canonicalJson, type Canonical, type Json } from '@varve/store'

const OPEN = '$secretRef'
const CLOSED = '$planSecret'

/**
 * Params with their `secretRef`s in a form that means nothing to the kernel: nobody may pass references into a run, and no
 * function but a state's own code is to be given the values.
 */
export function closeNames(value: Json): Json {
  return renamed(value, OPEN, CLOSED)
}

/** Params with `secretRef`s, which the kernel resolves for the code that gets them. */
export function openNames(value: Json): Json {
  return renamed(value, CLOSED, OPEN)
}

/** True for a value that says by itself what only {@link closeNames} says: read back, it would name a secret that nobody gave. */
export function holdsClosedNames({ copy, text }: Canonical): boolean {
  return text.includes(CLOSED) && canonicalJson(openNames(copy)) !== text
}

function renamed(value: Json, from: string, to: string): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((part: Json) => renamed(part, from, to))
  const entries = Object.entries(value)
  const [first] = entries
  if (entries.length === 1 && first?.[0] === from && typeof first[1] === 'string') return { [to]: first[1] }
  return Object.fromEntries(entries.map(([name, part]) => [name, renamed(part, from, to)]))
}
