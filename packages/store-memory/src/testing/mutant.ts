import { isStoreError, type RunRow, type Store, type StoreErrorCode } from '@varve/store'
import type { Harness } from '@varve/store-contract'

/** A store that is wrong in one way. */
export interface Mutant {
  /** The group of the contract that must catch it. */
  readonly group: string
  /** What it does wrong. */
  readonly name: string
  readonly spoil: (harness: Harness) => Harness
}

/** Mutants that differ from the healthy store in some methods of one port. */
export function spoiling<Name extends 'events' | 'runs' | 'inbox' | 'snapshots' | 'artifacts' | 'cache' | 'secrets'>(
  group: string,
  port: Name,
  mutants: Readonly<Record<string, (healthy: Store[Name], store: Store) => Partial<Store[Name]>>>,
): readonly Mutant[] {
  return Object.entries(mutants).map(([name, spoil]) => ({
    group,
    name,
    spoil: opening((store) => ({ ...store, [port]: { ...store[port], ...spoil(store[port], store) } })),
  }))
}

/** A harness that opens something else. */
export function opening(spoil: (store: Store) => Store): (harness: Harness) => Harness {
  return (harness) => ({ ...harness, open: async () => spoil(await harness.open()) })
}

/** What the call answers, or what `otherwise` does when it is refused with this code. */
export async function unless<T>(code: StoreErrorCode, call: () => Promise<T>, otherwise: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (isStoreError(error, code)) return otherwise()
    throw error
  }
}

/** The run's row; throws when there is none. */
export async function row(store: Store, runId: string): Promise<RunRow> {
  const found = await store.runs.find(runId)
  if (found === undefined) throw new TypeError(`there is no run ${runId}`)
  return found
}

/** Lets everything else that is under way go on: what a store does that lets others in between check and write. */
export async function pause(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
