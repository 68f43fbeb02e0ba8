import type { Owner, RunFilter, RunUpdate, Store } from '@varve/store'
import { expect, test } from 'vitest'
import { storeOver } from './memory-store.ts'
import { Memory } from './memory.ts'
import { RunIndex } from './run-index.ts'
import type { RunRecord } from './run-record.ts'

const NOW = 1_000_000
const owner: Owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
const driven = { workflows: [{ name: 'w', versions: ['1'] }], formats: [0] }
const queues = [{ name: 'q', concurrency: 90, concurrencyPerKey: 90, rate: { limit: 90, periodMs: 1000 } }]
const claim = { ...driven, owner, limit: 3, leaseMs: 1000 }

/** An index that counts the runs that are read from it. */
class WatchedIndex extends RunIndex {
  looks = 0

  protected override *walk(...args: Parameters<RunIndex['walk']>): Iterable<never> {
    for (const entry of super.walk(...args)) {
      this.looks++
      yield entry as never
    }
  }
}

/** A memory in which all runs may be read only from its index. */
class WatchedMemory extends Memory {
  override runs(): Iterable<RunRecord> {
    throw new Error('all runs were read')
  }
}

type Kind = 'due' | 'later' | 'leased' | 'parked' | 'ended' | 'owing' | 'child' | 'tagged' | 'other'

const kinds: readonly Kind[] = ['due', 'later', 'leased', 'parked', 'ended', 'owing', 'child', 'tagged', 'other']

const masses: readonly Kind[] = ['due', 'later', 'ended']

/** Three runs of each kind; all others have ended, are due, or will be. */
async function storeWith(count: number): Promise<{ readonly store: Store; readonly index: WatchedIndex }> {
  let now = 0
  const index = new WatchedIndex()
  const store = storeOver(new WatchedMemory(() => now, index))
  for (let n = 0; n < count; n++) {
    now = n
    const kind = n < 3 * kinds.length ? kinds[n % kinds.length]! : masses[Math.floor(n / 3) % 3]!
    await startRun(store, `run-${n}`, kind, n)
  }
  now = NOW
  return { store, index }
}

async function startRun(store: Store, runId: string, kind: Kind, n: number): Promise<void> {
  const wakeAt = kind === 'later' ? NOW + 1 + n : kind === 'due' || kind === 'parked' ? 0 : null
  const run: RunUpdate = {
    status: kind === 'ended' ? 'completed' : kind === 'later' ? 'blocked' : 'running',
    blockedOn: [],
    wakeAt,
    ...(kind === 'owing' && { owes: [{ to: 'x' }] }),
    create: {
      workflow: kind === 'other' ? 'other' : 'w',
      version: '1',
      tags: kind === 'tagged' ? ['all', 't'] : ['all'],
      // What owes is due as well: it stands in another queue, so that each claim finds the same.
      queue: kind === 'owing' ? 'slow' : 'q',
      priority: n % 3,
      ...(kind === 'child' && { parent: 'p' }),
      ...((kind === 'leased' || kind === 'parked') && { lease: { owner, leaseMs: NOW * 2 } }),
    },
  }
  const { claim: held } = await store.events.append(runId, [], { expectedHead: 0, fencingToken: 0, run })
  const problem = { code: 'X', message: 'x', retryAt: null }
  if (kind === 'parked' && held !== undefined) await store.runs.release(held, { expectedHead: 0, problem })
}

const lists: Readonly<Record<string, RunFilter>> = {
  'all runs': {},
  'the runs of a workflow': { workflow: 'other' },
  'the runs in one of several statuses': { statuses: ['running', 'canceled', 'running'] },
  'the children of a run': { parent: 'p' },
  'parked runs': { parked: true },
  'runs that owe something': { owing: true },
  'runs with all of several tags': { tags: ['all', 't'] },
  'the runs of a common workflow with a rare tag': { workflow: 'w', tags: ['t'] },
  'runs of a time': { createdFrom: 4, createdBefore: 6 },
}

const calls: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  claiming: async ({ runs }) => runs.claim({ ...claim, queues: [{ name: 'q' }] }),
  'claiming within limits': async ({ runs }) => runs.claim({ ...claim, queues }),
  'asking when the next run is due': async ({ runs }) => runs.dueIn({ ...driven, queues }),
  ...Object.fromEntries(
    Object.entries(lists).map(([what, filter]) => [
      `listing ${what}`,
      async ({ runs }: Store) => {
        const { items, next } = await runs.list(filter, { limit: 2 })
        const rest = next === undefined ? [] : (await runs.list(filter, { limit: 2, cursor: next })).items
        return [...items, ...rest].map(({ runId }) => runId)
      },
    ]),
  ),
}

test.for(Object.entries(calls))(
  '%s reads no more of 20,000 runs than of 100',
  { timeout: 30_000 },
  async ([, call]) => {
    const answers: unknown[] = []
    const looks: number[] = []
    for (const count of [100, 20_000]) {
      const { store, index } = await storeWith(count)
      answers.push(await call(store))
      looks.push(index.looks)
    }

    for (const answer of answers) expect([[], null]).not.toContainEqual(answer)
    expect(looks[1]).toBeGreaterThan(0)
    expect(Math.max(...looks)).toBeLessThanOrEqual(16)
  },
)

test('a run that is removed stands nowhere any more, and its id is free', async () => {
  const { store } = await storeWith(27)
  const [ended] = (await store.runs.list({ statuses: ['completed'] }, { limit: 1 })).items

  expect(await store.runs.remove(ended!.runId, { ifTerminal: true })).toBe(true)
  await startRun(store, ended!.runId, 'child', 0)

  const idsOf = async (filter: RunFilter): Promise<readonly string[]> =>
    (await store.runs.list(filter, { limit: 100 })).items.map(({ runId }) => runId)
  expect(await idsOf({ statuses: ['completed'] })).not.toContain(ended!.runId)
  expect((await idsOf({ parent: 'p' }))[0]).toBe(ended!.runId)
  expect(await idsOf({})).toHaveLength(27)
})
