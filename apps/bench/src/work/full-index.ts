import { genesis, sealEvent, type RunUpdate, type Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import type { Figures } from '../rounds/program.ts'
import { median } from '../statistics.ts'
import { benchOwner } from './owner.ts'

/** Creates in flight at once while an index is filled. */
const AT_ONCE = 1_000

/** Calls of which the median is taken. */
const CALLS = 20

const due: RunUpdate = { status: 'running', blockedOn: [], wakeAt: 0 }

/** As many as there are of ten runs: a longer page would compare the length of pages. */
const LISTED = 2

/** What most runs of a store are: of ten, eight have ended, one waits for an answer, one sleeps for long. */
const others: readonly RunUpdate[] = [
  ...Array.from({ length: 8 }, () => ({ status: 'completed', blockedOn: [], wakeAt: null }) as const),
  { status: 'blocked', blockedOn: [{ kind: 'interrupt', key: 'ask', name: 'ask' }], wakeAt: null },
  { status: 'blocked', blockedOn: [{ kind: 'timer', key: 'sleep', until: 4e12 }], wakeAt: 4e12 },
]

/** Puts so many runs into a store, none of which is due. */
export async function fillIndex(store: Store, runs: number): Promise<void> {
  for (let first = 0; first < runs; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, runs - first)
    await Promise.all(Array.from({ length: count }, (_, at) => create(store, others[at % others.length] ?? due)))
  }
}

/** What claims, lists and starts take where ten runs are due. */
export async function timeIndex(store: Store): Promise<Figures> {
  const claims: number[] = []
  const lists: number[] = []
  const tagged: number[] = []
  const creates: number[] = []
  for (let call = 0; call < CALLS; call++) {
    for (let run = 0; run < 10; run++) creates.push(await timed(() => create(store, due)))
    claims.push(await timed(() => claimAll(store)))
    lists.push(await timed(() => store.runs.list({ workflow: 'bench', statuses: ['blocked'] }, { limit: LISTED })))
    tagged.push(await timed(() => store.runs.list({ tags: ['bench'] }, { limit: LISTED })))
  }
  return {
    'claim ms': median(claims),
    'list ms': median(lists),
    'list by tag ms': median(tagged),
    'create ms': median(creates),
  }
}

async function create(store: Store, run: RunUpdate): Promise<void> {
  const runId = randomUUID()
  const { stored } = sealEvent(runId, genesis(runId), { type: 'RunStarted', data: { workflow: 'bench' } }, Date.now())
  const creation = { workflow: 'bench', version: '1', tags: ['bench'], queue: 'default' }
  await store.events.append(runId, [stored], { expectedHead: 0, fencingToken: 0, run: { ...run, create: creation } })
}

/** Claims the ten that are due; their leases outlast the measuring. */
async function claimAll(store: Store): Promise<void> {
  const claims = await store.runs.claim({
    ...{ owner: benchOwner(), limit: 10, leaseMs: 3_600_000, formats: [1] },
    ...{ workflows: [{ name: 'bench', versions: ['1'] }], queues: [{ name: 'default' }] },
  })
  if (claims.length !== 10) throw new Error(`${claims.length} runs were claimed of 10`)
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await call()
  return performance.now() - startedAt
}
