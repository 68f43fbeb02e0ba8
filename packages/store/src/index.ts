// For users: the errors and types that reach them through the kernel.
export { CodedError, isCodedError, isStoreError, refusing, StoreError } from './errors.ts'
export type { CodedErrorOptions, ErrorWhere, StoreErrorCode } from './errors.ts'
export type { Json } from './json/json.ts'
export { canonicalize, canonicalJson, formatPath } from './json/canonical-json.ts'
export type { Canonical } from './json/canonical-json.ts'
export { contentId, isContentId, sha256 } from './content-id.ts'
export type { ContentId } from './content-id.ts'
export { checkId, defaultLimits } from './limits.ts'
export { checkList, checkNames, checkOneOf, checkOptions, isFrom, shown } from './given-value.ts'
export type { NamesOf } from './given-value.ts'
export type { Limits } from './limits.ts'
export { allItems, allPages } from './ports/all-pages.ts'

// The log's format.
export { EVENT_FORMAT } from './log/stored-event.ts'
export type { StoredEvent } from './log/stored-event.ts'
export { chainHash, genesis, openEvent, sealEvent } from './log/seal.ts'
export type { EventDraft, LogEnd, SealedEvent } from './log/seal.ts'

// For authors of adapters: the ports.
export type { ArtifactFilter, ArtifactRow, ArtifactStore, StoredArtifact } from './ports/artifact-store.ts'
export type { CacheDraft, CacheEntry, CacheFilter, CacheStore } from './ports/cache-store.ts'
export type { Notifications, Page, PageRequest, Store, StoreCapabilities, StoreChange } from './ports/store.ts'
export type { AppendOptions, AppendResult, EventStore, PostRejection, ReadRange } from './ports/event-store.ts'
export type { InboxStore, Post, PostDraft, RejectedPost } from './ports/inbox-store.ts'
export type {
  AcquireRequest,
  ClaimRequest,
  DueRequest,
  QueueClaim,
  ReleaseOutcome,
  ReleaseRequest,
  RunFilter,
  RunStore,
} from './ports/run-store.ts'
export { isTerminal } from './ports/run.ts'
export type {
  BlockedOn,
  Claim,
  Debt,
  Owner,
  Problem,
  RunCreation,
  RunRow,
  RunStatus,
  RunUpdate,
  TerminalStatus,
} from './ports/run.ts'
export type { SecretStore } from './ports/secret-store.ts'
export type { Snapshot, SnapshotStore } from './ports/snapshot-store.ts'

// For authors of adapters: what every store checks and answers alike.
export {
  checkCacheDraft,
  checkContentId,
  checkContentIds,
  checkContinuation,
  checkLease,
  checkLimit,
  checkPriority,
  checkSealed,
  checkWhole,
} from './adapter/arguments.ts'
export {
  ARTIFACT_CHUNK_BYTES,
  artifactCorrupt,
  artifactNotFound,
  collectContent,
  inChunks,
  storedArtifact,
} from './adapter/artifact-bytes.ts'
export { checkedClock } from './adapter/checked-clock.ts'
export { pageOf, readCursor } from './adapter/cursor.ts'
export { admitRuns, checkQueues, heldBack, isLimited, takeTurns } from './adapter/queue-limits.ts'
export type { DueRun, QueueUse } from './adapter/queue-limits.ts'
export { checkRunFilter } from './adapter/run-filter.ts'
