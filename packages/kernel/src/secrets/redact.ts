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
 * Finds every text of at least 6 characters that is part of the values, as it is and as it stands in JSON, in each part of a URL, in
 * base64, also amid other bytes, and in hex: what libraries put into their messages.
 */
export function redactorOf(values: readonly Json[]): Redactor {
  const texts = new Set<string>()
  for (const value of values) collect(value, texts)
  const found = new Set([...texts].filter((text) => text.length >= MIN_LENGTH).flatMap(spellingsOf))
  // The longest first: one may be part of another.
  const needles = [...found].sort((a, b) => b.length - a.length)
  return { redact: replacing(needles), spellings: needles }
}

function replacing(needles: readonly string[]): Redact {
  return (text) => needles.reduce((rest, needle) => rest.replaceAll(needle, REDACTED), text)
}

function collect(value: Json, texts: Set<string>): void {
  if (typeof value === 'string') texts.add(value)
  else if (typeof value === 'number') texts.add(String(value))
  else if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) collect(child, texts)
}

function spellingsOf(text: string): string[] {
  const bytes = Buffer.from(text)
  const hex = bytes.toString('hex')
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    ...inUrls(text.toWellFormed()),
    ...inBase64(bytes),
    hex,
    hex.toUpperCase(),
  ]
}

/** Each part of a URL escapes other characters. */
function inUrls(text: string): string[] {
  const url = new URL('https://host/')
  url.username = text
  url.pathname = text
  url.search = text
  url.hash = text
  const parts = [url.username, url.pathname.slice(1), url.search.slice(1), url.hash.slice(1)]
  // A path loses what it says of its own parts.
  const written = parts.filter((part) => part.length >= MIN_LENGTH)
  return [encodeURIComponent(text), new URLSearchParams({ '': text }).toString().slice(1), ...written]
}

/** Also amid other bytes, as in `user:password`: what of it does not depend on them. */
function inBase64(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const from = [0, 2, 3][before]
    const to = Math.floor(((before + bytes.length) * 4) / 3)
    const shifted = Buffer.concat([Buffer.alloc(before), bytes])
    return (['base64', 'base64url'] as const).map((spelling) => shifted.toString(spelling).slice(from, to))
  })
}

/** A JSON value without secrets in its texts and names, and no number that is one; the value itself when there were none. */
export function redactJson(value: Json, { spellings }: Pick<Redactor, 'spellings'>): Json {
  const texts: string[] = []
  collectAll(value, texts)
  const whole = texts.join('\n')
  // Of many secrets few are in one value: only those are looked for in each part of it.
  const found = spellings.filter((spelling) => whole.includes(spelling))
  return found.length === 0 ? value : redactParts(value, replacing(found))
}

function collectAll(value: Json, texts: string[]): void {
  if (typeof value === 'string') texts.push(value)
  else if (typeof value === 'number') texts.push(String(value))
  else if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value)) {
      texts.push(key)
      collectAll(child, texts)
    }
  }
}

function redactParts(value: Json, redact: Redact): Json {
  if (typeof value === 'string') return redact(value)
  // Digits that only meet in a longer number are none of it.
  if (typeof value === 'number') return redact(String(value)) === REDACTED ? REDACTED : value
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const redacted = entries.map(([key, child]) => [redact(key), redactParts(child, redact)] as const)
  if (redacted.every(([key, child], i) => key === entries[i]?.[0] && child === entries[i][1])) return value
  return Array.isArray(value) ? redacted.map(([, child]) => child) : Object.fromEntries(redacted)
}
