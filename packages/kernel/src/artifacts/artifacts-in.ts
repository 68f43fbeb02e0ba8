import { isContentId, StoreError, type ContentId, type ErrorWhere, type StoredEvent } from '@varve/store'

/** An append refers to at most so many artifacts; so says its port. */
export const APPEND_ARTIFACTS = 1000

/** Begins with what is rare in JSON: to look for a quotation mark takes several times as long. */
const HINT = '$artifact":"sha256:'

/**
 * A property of that name. In canonical text its opening quote follows a brace or a comma; one inside of a string follows a
 * backslash.
 */
const REFERENCE = /(?<=[{,])"\$artifact":"(sha256:[0-9a-f]{64})"/g

/**
 * The artifacts that a canonical JSON text refers to, each once, in the order in which they first stand there. Whatever has
 * a `$artifact` that is a content id counts: a reference that lost its size still keeps what it names.
 */
export function artifactsIn(body: string): readonly ContentId[] {
  // Most bodies hold none, and every body that is appended comes by here.
  if (!mayHaveArtifacts(body)) return NONE
  const found = new Set<ContentId>()
  for (const [, id] of body.matchAll(REFERENCE)) found.add(id as ContentId)
  return [...found]
}

const NONE: readonly ContentId[] = []

/** False for a text that refers to no artifacts; to find out takes little. */
export function mayHaveArtifacts(body: string): boolean {
  return body.includes(HINT)
}

/** The artifacts that a JSON value refers to, each once. A loop: it may be deep. */
export function artifactsInValue(value: unknown): readonly ContentId[] {
  let found: Set<ContentId> | undefined
  const parts = [value]
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    if (typeof part !== 'object' || part === null) continue
    const id: unknown = (part as { readonly $artifact?: unknown }).$artifact
    if (isContentId(id)) (found ??= new Set()).add(id)
    for (const inner of Object.values(part)) if (typeof inner === 'object') parts.push(inner)
  }
  return found === undefined ? NONE : [...found]
}

/** The artifacts that events refer to, each once. */
export function artifactsOf(events: readonly Pick<StoredEvent, 'body'>[]): readonly ContentId[] {
  let found: Set<ContentId> | undefined
  for (const { body } of events) for (const id of artifactsIn(body)) (found ??= new Set()).add(id)
  return found === undefined ? NONE : [...found]
}

/**
 * Refuses what no append can carry.
 *
 * @param what - names what refers to them, for the error.
 * @throws StoreError `LIMIT_EXCEEDED`.
 */
export function checkArtifactCount({ length }: readonly ContentId[], what: string, where: ErrorWhere): void {
  if (length <= APPEND_ARTIFACTS) return
  const remedy = 'put their list into an artifact of its own, and refer to that'
  const text = `${what} would refer to ${length} artifacts, ${APPEND_ARTIFACTS} are allowed at once; ${remedy}`
  throw new StoreError('LIMIT_EXCEEDED', text, where)
}
