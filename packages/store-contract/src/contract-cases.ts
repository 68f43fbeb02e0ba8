import { ofWholeStores, type ArtifactCase } from './artifact-contract.ts'
import { argumentCases } from './cases/arguments.ts'
import { artifactUseCases } from './cases/artifact-use.ts'
import { artifactContentCases } from './cases/artifacts.ts'
import { atomicBatchCases } from './cases/atomic-batches.ts'
import { cacheCases } from './cases/cache.ts'
import { capabilityCases } from './cases/capabilities.ts'
import { acquireCases, claimCases, firstEventCases, recoveryCases } from './cases/claims.ts'
import { concurrentWriterCases } from './cases/concurrent-writers.ts'
import { conflictCases } from './cases/conflicts.ts'
import { dueInCases } from './cases/due-in.ts'
import { dueSinceCases } from './cases/due-since.ts'
import { fencingCases } from './cases/fencing.ts'
import { idCases } from './cases/ids.ts'
import { postingCases, takingCases } from './cases/inbox.ts'
import { postPageCases } from './cases/inbox-pages.ts'
import { lifecycleCases } from './cases/lifecycle.ts'
import { listingCases } from './cases/listing.ts'
import { lostAnswerCases } from './cases/lost-answers.ts'
import { processCases } from './cases/processes.ts'
import { queueRaceCases } from './cases/queue-races.ts'
import { concurrencyCases, rateCases, turnCases } from './cases/queues.ts'
import { readingCases } from './cases/reading.ts'
import { referenceCases } from './cases/references.ts'
import { releaseCases } from './cases/release.ts'
import { removalCases } from './cases/removal.ts'
import { secretCases } from './cases/secrets.ts'
import { sharedCommitCases } from './cases/shared-commits.ts'
import { snapshotCases } from './cases/snapshots.ts'
import { takeoverCases } from './cases/takeover.ts'
import { valueCases } from './cases/values.ts'
import type { ContractCase } from './contract-case.ts'

/** The contract of artifact stores, alone or a part of a whole one. */
export const artifactCases: readonly ArtifactCase[] = [...artifactContentCases, ...artifactUseCases]

/** The whole contract, in the order in which it is best read. */
export const contractCases: readonly ContractCase[] = [
  ...atomicBatchCases,
  ...conflictCases,
  ...concurrentWriterCases,
  ...sharedCommitCases,
  ...fencingCases,
  ...lostAnswerCases,
  ...postingCases,
  ...takingCases,
  ...postPageCases,
  ...claimCases,
  ...dueSinceCases,
  ...firstEventCases,
  ...recoveryCases,
  ...acquireCases,
  ...turnCases,
  ...concurrencyCases,
  ...rateCases,
  ...queueRaceCases,
  ...dueInCases,
  ...takeoverCases,
  ...releaseCases,
  ...readingCases,
  ...listingCases,
  ...valueCases,
  ...idCases,
  ...argumentCases,
  ...snapshotCases,
  ...secretCases,
  ...artifactCases.map(ofWholeStores),
  ...cacheCases,
  ...referenceCases,
  ...removalCases,
  ...lifecycleCases,
  ...processCases,
  ...capabilityCases,
]
