import type { Json } from '@varve/store'
import { findPart, pathOf, type Part, type Verdict } from './find-part.ts'
import { isPlaceholder, secretInName, secretInText } from './secret-patterns.ts'

/** Something that looks like a secret, where it is, and what gives it away. Neither holds the value. */
export interface FoundSecret {
  readonly path: string
  /** Ends the sentence "it looks like a secret: …". */
  readonly why: string
}

/** How to look for secrets. */
export interface FindSecretOptions {
  /** What the value is called in paths. Default `value`. */
  readonly name?: string
  /** Paths, as they are reported, that are left out with everything below them. */
  readonly allow?: readonly string[]
}

/**
 * The first part of a JSON value that looks like a secret: by its name (`apiKey`), by its form (tokens of well-known issuers, private
 * keys, JSON Web Tokens, mnemonics, passwords in URLs), or because it is long and random. It is a net and no proof. References to
 * secrets are none.
 */
export function findSecret(value: Json, options: FindSecretOptions = {}): FoundSecret | undefined {
  const allow = new Set(options.allow)
  const isAllowed = (part: Part): boolean => allow.size > 0 && allow.has(pathOf(part))
  return findPart(value, options.name ?? 'value', (part) => {
    if (isAllowed(part)) return 'leave out'
    return verdictOn(part)
  })
}

function verdictOn(part: Part): Verdict<FoundSecret> {
  const { value } = part
  if (typeof value === 'string') return seen(part, isPlaceholder(value) ? undefined : whyText(value, part))
  if (typeof value === 'number') return seen(part, whyNumber(part))
  if (typeof value !== 'object' || value === null) return undefined
  if (isReference(value)) return 'leave out'
  // The path does not go on to the name, which is the secret.
  return Array.isArray(value) ? undefined : seen(part, whyNames(Object.keys(value)))
}

function seen(part: Part, why: string | undefined): Verdict<FoundSecret> {
  return why === undefined ? undefined : { found: { path: pathOf(part), why } }
}

function whyText(value: string, { path }: Part): string | undefined {
  if (value === '') return undefined
  return whyName(path) ?? secretInText(value, nameOf(path))
}

/** Whatever lies below a suspicious name is under suspicion, too. The name of the whole value is not the user's. */
function whyName(path: Part['path']): string | undefined {
  for (const name of path.slice(1)) {
    const term = typeof name === 'string' ? secretInName(name) : undefined
    if (term !== undefined) return `it is called ${term.says}`
  }
  return undefined
}

/** A number is one only where the name says nothing else: `password`, but not `passwordLength`. Keys are kept as lists of bytes, too. */
function whyNumber({ path }: Part): string | undefined {
  const name = nameOf(path)
  const term = name === undefined ? undefined : secretInName(name)
  return term?.isLast === true ? `it is called ${term.says}` : undefined
}

function whyNames(names: readonly string[]): string | undefined {
  for (const name of names) {
    const why = secretInText(name, undefined)
    if (why !== undefined) return `one of its names is ${why}`
  }
  return undefined
}

/** The name of a value, or of the list that it is in. Bytes that became JSON are an object whose names are their places. */
function nameOf(path: Part['path']): string | undefined {
  return path.slice(1).findLast((name): name is string => typeof name === 'string' && !/^\d+$/.test(name))
}

/** What stands for a secret of the kernel: `secret()` as it is recorded, and `secretRef()`. */
function isReference(value: object): boolean {
  const { $secret, commitment, $secretRef } = value as Readonly<Record<string, unknown>>
  const count = Object.keys(value).length
  if (count === 1) return typeof $secretRef === 'string'
  return count === 2 && typeof $secret === 'string' && /^[0-9a-f]{64}$/.test(String(commitment))
}
