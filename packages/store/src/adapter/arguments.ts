import { isContentId, type ContentId } from '../content-id.ts'
import { StoreError } from '../errors.ts'
import { shown } from '../given-value.ts'
import { canonicalize, type Canonical } from '../json/canonical-json.ts'
import { checkId, defaultLimits } from '../limits.ts'
import type { StoredEvent } from '../log/stored-event.ts'
import type { CacheDraft } from '../ports/cache-store.ts'
import type { Owner } from '../ports/run.ts'

/** @throws StoreError `INVALID_ARGUMENT` for anything but 1-1000. */
export function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1000) return
  throw new StoreError('INVALID_ARGUMENT', `limit must be a whole number from 1 to 1000, got ${shown(limit)}`)
}

/** @throws StoreError `INVALID_ARGUMENT` unless it is a whole number, at least `least`, that a double keeps exactly. */
export function checkWhole(what: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new StoreError('INVALID_ARGUMENT', `${what} must be a whole number of at least ${least}, got ${shown(value)}`)
}

/** @throws StoreError `INVALID_ARGUMENT`. */
export function checkLease(owner: Owner, leaseMs: number): void {
  checkId('the id of the owner', owner.id)
  checkWhole('leaseMs', leaseMs, 1)
}

/** @throws StoreError `INVALID_ARGUMENT` for what are no sealed events, or do not continue the run's log behind `expectedHead`. */
export function checkContinuation(runId: string, events: readonly StoredEvent[], expectedHead: number): void {
  let seq = expectedHead
  for (const event of events) {
    seq++
    if (event.runId !== runId || event.seq !== seq) {
      const text = `expected seq ${seq} of run ${runId}, got seq ${event.seq} of run ${event.runId}`
      throw new StoreError('INVALID_ARGUMENT', text, { runId, seq: event.seq })
    }
    checkId(`the type of seq ${seq}`, event.type)
    const { v, at, body, hash } = event as Readonly<Record<keyof StoredEvent, unknown>>
    if (typeof body === 'string' && typeof hash === 'string' && Number.isSafeInteger(v) && Number.isSafeInteger(at))
      continue
    const text = `seq ${seq} of run ${runId} is no sealed event: its body and hash are texts, its v and at whole numbers`
    throw new StoreError('INVALID_ARGUMENT', text, { runId, seq })
  }
}

/** @throws StoreError `INVALID_ARGUMENT` for no bytes, and for what is not a Uint8Array; `LIMIT_EXCEEDED`. */
export function checkSealed(id: string, sealed: unknown): asserts sealed is Uint8Array {
  checkId('the id of a secret', id)
  if (!(sealed instanceof Uint8Array) || sealed.byteLength === 0) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `the sealed value of secret ${id} must be a Uint8Array with at least a byte`,
    )
  }
  const { sealedBytes } = defaultLimits
  if (sealed.byteLength <= sealedBytes) return
  const text = `the sealed value of secret ${id} has ${sealed.byteLength} bytes and ${sealedBytes} are allowed`
  throw new StoreError('LIMIT_EXCEEDED', text)
}

/** @throws StoreError `INVALID_ARGUMENT` for what no content can have as its id. */
export function checkContentId(id: unknown): asserts id is ContentId {
  if (isContentId(id)) return
  throw new StoreError('INVALID_ARGUMENT', `an artifact is named sha256: and 64 hex digits, got ${shown(id)}`)
}

/** At most this many artifacts go into one call. */
const MAX_ARTIFACTS = 1000

/** @throws StoreError `INVALID_ARGUMENT` unless there are `least` to 1000 ids of content. */
export function checkContentIds(ids: readonly unknown[], least: number): asserts ids is readonly ContentId[] {
  if (!Array.isArray(ids) || ids.length < least || ids.length > MAX_ARTIFACTS) {
    const got = Array.isArray(ids) ? ids.length : typeof ids
    throw new StoreError('INVALID_ARGUMENT', `${least} to ${MAX_ARTIFACTS} artifacts may be named at once, got ${got}`)
  }
  for (const id of ids) checkContentId(id)
}

/**
 * Checks an entry of a cache.
 *
 * @returns its body as canonical text, and as a copy.
 * @throws StoreError `INVALID_ARGUMENT` | `NOT_JSON` | `LIMIT_EXCEEDED`.
 */
export function checkCacheDraft({ key, group, artifacts, body }: CacheDraft): Canonical {
  checkId('the key of a cache entry', key)
  checkId('the group of a cache entry', group)
  checkContentIds(artifacts, 0)
  const canonical = canonicalize(body, { name: 'body', maxDepth: defaultLimits.depth })
  const bytes = Buffer.byteLength(canonical.text)
  if (bytes <= defaultLimits.bodyBytes) return canonical
  const text = `the body of cache entry ${JSON.stringify(key)} has ${bytes} bytes and ${defaultLimits.bodyBytes} are allowed; keep it as an artifact`
  throw new StoreError('LIMIT_EXCEEDED', text, { path: 'body' })
}

/** A run's priority: a whole number from -100 to 100. @throws StoreError `INVALID_ARGUMENT`. */
export function checkPriority(priority: number): void {
  if (Number.isSafeInteger(priority) && Math.abs(priority) <= 100) return
  throw new StoreError('INVALID_ARGUMENT', `a priority must be a whole number from -100 to 100, got ${shown(priority)}`)
}
