import type { ArtifactStore, ContentId, Store } from '@varve/store'
import type { ContractCase } from './contract-case.ts'
import type { Harness, TestClock } from './harness.ts'

/** A place of its own where one case opens artifact stores that stand alone. */
export interface ArtifactHarness {
  /** Opens an artifact store on this harness's data. */
  open(): Promise<ArtifactStore>
  /** The clock of every store that `open` returns. */
  readonly clock: TestClock
  /** What was acknowledged is there for a store that is opened later. */
  readonly durable: boolean
  /** Several stores may use the same data at once. */
  readonly shared: boolean
  /** Flips a bit of the bytes that are kept of an artifact, behind the store's back. A durable store must be able to show this. */
  readonly corrupt?: (id: ContentId) => Promise<void>
  /** Deletes the data. Called once, after the case. */
  destroy(): Promise<void>
}

/** One thing that every artifact store does. Throws when this one does not. */
export interface ArtifactCase {
  /** The part of the contract that it belongs to. */
  readonly group: string
  /** A sentence about behaviour, unique within the group. */
  readonly name: string
  /** Runs it on a fresh harness; the caller destroys the harness afterwards. */
  run(harness: ArtifactHarness): Promise<void>
}

/** What a case works with. */
export interface ArtifactContext {
  readonly artifacts: ArtifactStore
  readonly clock: TestClock
  readonly harness: ArtifactHarness
}

/** The cases of one part of the contract, by name. */
export function artifactGroup(
  group: string,
  bodies: Readonly<Record<string, (context: ArtifactContext) => Promise<void>>>,
): readonly ArtifactCase[] {
  return Object.entries(bodies).map(([name, body]) => ({
    group,
    name,
    run: async (harness) => body({ artifacts: await harness.open(), clock: harness.clock, harness }),
  }))
}

/** A case for artifact stores as one for the artifacts of whole stores. */
export function ofWholeStores(one: ArtifactCase): ContractCase {
  return { group: one.group, name: one.name, run: async (harness) => runOnStore(one, harness) }
}

async function runOnStore(one: ArtifactCase, harness: Harness): Promise<void> {
  const opened: Store[] = []
  const open = async (): Promise<Store> => {
    const store = await harness.open()
    opened.push(store)
    return store
  }
  const { clock, corruptArtifact } = harness
  try {
    const { capabilities } = await open()
    const { durable, shared } = capabilities
    const corrupt = corruptArtifact && { corrupt: corruptArtifact }
    await one.run({
      ...{ clock, durable, shared, ...corrupt },
      open: async () => (await open()).artifacts,
      destroy: async () => harness.destroy(),
    })
  } finally {
    for (const store of opened.reverse()) await store[Symbol.asyncDispose]()
  }
}
