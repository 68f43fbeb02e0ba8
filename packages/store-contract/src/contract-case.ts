import type { Store } from '@varve/store'
import type { Harness, TestClock } from './harness.ts'

/** One thing that every store does. Throws when this one does not. */
export interface ContractCase {
  /** The part of the contract that it belongs to. */
  readonly group: string
  /** A sentence about behaviour, unique within the group. */
  readonly name: string
  /** Runs it on a fresh harness; the caller destroys the harness afterwards. */
  run(harness: Harness): Promise<void>
}

/** What a case works with. */
export interface CaseContext {
  readonly store: Store
  readonly clock: TestClock
  readonly harness: Harness
  /** Opens one more store; it is closed after the case. */
  readonly open: () => Promise<Store>
}

/** A case without its name. */
export type CaseBody = (context: CaseContext) => Promise<void>

/** The cases of one part of the contract, by name. */
export function contractGroup(group: string, bodies: Readonly<Record<string, CaseBody>>): readonly ContractCase[] {
  return Object.entries(bodies).map(([name, body]) => ({ group, name, run: async (harness) => runBody(body, harness) }))
}

async function runBody(body: CaseBody, harness: Harness): Promise<void> {
  const opened: Store[] = []
  const open = async (): Promise<Store> => {
    const store = await harness.open()
    opened.push(store)
    return store
  }
  try {
    await body({ store: await open(), clock: harness.clock, harness, open })
  } finally {
    for (const store of opened.reverse()) await store[Symbol.asyncDispose]()
  }
}
