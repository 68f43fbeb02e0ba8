import type { Json } from '@varve/store'

/** Takes secrets out of a text. */
export type Redact = (text: string) => string

/** Takes secrets out of texts, and says in which spellings it looks for them. */
export interface Redactor {
  readonly redact: Redact
  readonly spellings: readonly string[]
}

/** What stands in their place. */
const REDACTED = '[secret]'

/** Shorter ones are no secrets worth the name, and would be found everywhere. */
const MIN_LENGTH = 6

/**
 * Finds every text of at least 6 characters that is part of the values, as it is and as it stands in JSON, in a URL, in base64
 * and in hex: what libraries put into their messages.
 */
export function redactorOf(values: readonly Json[]): Redactor {
  const texts = new Set<string>()
  for (const value of values) collect(value, texts)
  const found = new Set([...texts].filter((text) => text.length >= MIN_LENGTH).flatMap(spellingsOf))
  // The longest first: one may be part of another.
  const needles = [...found].sort((a, b) => b.length - a.length)
  return {
    redact: (text) => needles.reduce((rest, needle) => rest.replaceAll(needle, REDACTED), text),
    spellings: needles,
  }
}

function collect(value: Json, texts: Set<string>): void {
  if (typeof value === 'string') texts.add(value)
  else if (typeof value === 'number') texts.add(String(value))
  else if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) collect(child, texts)
}

function spellingsOf(text: string): string[] {
  const bytes = Buffer.from(text)
  const base64 = bytes.toString('base64')
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text.toWellFormed()),
    base64.replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ]
}

/** A JSON value without secrets in its texts and names, and no number that is one; the value itself when there were none. */
export function redactJson(value: Json, redact: Redact): Json {
  if (typeof value === 'string') return redact(value)
  // Digits that only meet in a longer number are none of it.
  if (typeof value === 'number') return redact(String(value)) === REDACTED ? REDACTED : value
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const redacted = entries.map(([key, child]) => [redact(key), redactJson(child, redact)] as const)
  if (redacted.every(([key, child], i) => key === entries[i]?.[0] && child === entries[i][1])) return value
  return Array.isArray(value) ? redacted.map(([, child]) => child) : Object.fromEntries(redacted)
}
