import { isTerminal, type DueRequest, type RunRow, type Store } from '@varve/store'
import { opening, spoiling, type Mutant } from './mutant.ts'

/** A `dueIn` by another notion of when a run is due. */
function dueBy(
  dueAt: (row: RunRow) => number | null,
): (healthy: Store['runs'], store: Store) => Partial<Store['runs']> {
  return (healthy, store) => ({
    dueIn: async (request) => {
      const now = await store.now()
      const { items } = await healthy.list({}, { limit: 1000 })
      const times = items.filter((row) => isDriven(row, request)).map(dueAt)
      const next = Math.min(...times.map((at) => at ?? Infinity).filter((at) => at > now))
      return next === Infinity ? null : next - now
    },
  })
}

function isDriven({ workflow, version, queue, format }: RunRow, request: DueRequest): boolean {
  const isKnown = request.workflows.some(({ name, versions }) => name === workflow && versions.includes(version))
  return isKnown && request.queues.some(({ name }) => name === queue) && request.formats.includes(format)
}

/** The latest of the times, where none of them is never. */
function latest(...times: readonly (number | null)[]): number | null {
  return times.includes(null) ? null : Math.max(...times.map(Number))
}

const retryOf = ({ problem }: RunRow): number | null => (problem === undefined ? 0 : problem.retryAt)

/** Asks for other runs than the caller. */
function asking(change: (request: DueRequest) => DueRequest): (healthy: Store['runs']) => Partial<Store['runs']> {
  return (healthy) => ({ dueIn: (request) => healthy.dueIn(change(request)) })
}

const everyVersion = ['1', '2']

const dueMutants = spoiling('next due', 'runs', {
  'the time is rounded to seconds': (healthy) => ({
    dueIn: async (request) => {
      const ms = await healthy.dueIn(request)
      return ms === null ? null : Math.ceil(ms / 1000) * 1000
    },
  }),
  'a run that is due already is due in 0': (healthy, store) => ({
    dueIn: async (request) => {
      const { items } = await healthy.list({ statuses: ['running'], parked: false }, { limit: 1000 })
      const now = await store.now()
      const isDue = items.some((row) => (row.wakeAt ?? Infinity) <= now && row.lease === undefined)
      return isDue ? 0 : healthy.dueIn(request)
    },
  }),
  'only the first workflow is looked at': asking((request) => ({
    ...request,
    workflows: request.workflows.slice(0, 1),
  })),
  'versions go with any name': asking((request) => {
    const versions = request.workflows.flatMap((workflow) => workflow.versions)
    return { ...request, workflows: request.workflows.map(({ name }) => ({ name, versions })) }
  }),
  'nothing is due in 0': (healthy) => ({ dueIn: async (request) => (await healthy.dueIn(request)) ?? 0 }),
  'leases are forgotten': dueBy((row) => latest(row.wakeAt, retryOf(row))),
  'a leased run is due when its lease ends, whatever it waits for': dueBy((row) =>
    row.lease === undefined ? latest(row.wakeAt, retryOf(row)) : row.lease.until,
  ),
  'a parked run is never due': dueBy((row) =>
    row.problem === undefined ? latest(row.wakeAt, row.lease?.until ?? 0) : null,
  ),
  'a run that has ended is never due, whatever it owes': dueBy((row) =>
    isTerminal(row.status) ? null : latest(row.wakeAt, retryOf(row), row.lease?.until ?? 0),
  ),
  'the highest priority alone is looked at': (healthy, store) => ({
    dueIn: async (request) => {
      const { items } = await healthy.list({}, { limit: 1000 })
      const highest = Math.max(...items.map(({ priority }) => priority))
      return dueBy((row) => (row.priority < highest ? null : latest(row.wakeAt, retryOf(row), row.lease?.until ?? 0)))(
        healthy,
        store,
      ).dueIn?.(request) as Promise<number | null>
    },
  }),
  'every queue is asked': asking((request) => ({ ...request, queues: [{ name: 'default' }, { name: 'slow' }] })),
  'every workflow is asked': asking((request) => ({
    ...request,
    workflows: ['sample', 'other'].map((name) => ({ name, versions: everyVersion.slice(0, 1) })),
  })),
  'every version is asked': asking((request) => ({
    ...request,
    workflows: request.workflows.map(({ name }) => ({ name, versions: everyVersion })),
  })),
  'formats that the claimer cannot read are asked': asking((request) => ({ ...request, formats: [1, 2] })),
  'a limit that is reached hides what comes next': (healthy) => ({
    dueIn: async (request) =>
      request.queues.some(({ concurrency }) => concurrency === 1) ? null : healthy.dueIn(request),
  }),
})

const timeMutants: readonly Mutant[] = [
  {
    group: 'next due',
    name: "the store tells its caller's time",
    spoil: opening((store) => ({ ...store, now: async () => Date.now() })),
  },
  {
    group: 'next due',
    name: 'a closed store goes on telling the time',
    spoil: (harness) => ({
      ...harness,
      open: async () => ({ ...(await harness.open()), now: async () => harness.clock.now() }),
    }),
  },
]

const endMutants: readonly Mutant[] = [
  ...spoiling('listing', 'runs', {
    'when runs ended is no condition': (healthy) => ({
      list: ({ endedBefore: _, ...filter }, page) => healthy.list(filter, page),
    }),
    'the end of the time is within it': (healthy) => ({
      list: ({ endedBefore, ...filter }, page) =>
        healthy.list({ ...filter, ...(endedBefore !== undefined && { endedBefore: endedBefore + 1 }) }, page),
    }),
    'whether runs are leased is no condition': (healthy) => ({
      list: ({ leased: _, ...filter }, page) => healthy.list(filter, page),
    }),
    'a run that goes on has ended at once': (healthy) => ({
      find: async (runId) => {
        const found = await healthy.find(runId)
        return found && { endedAt: found.createdAt, ...found }
      },
    }),
  }),
  {
    group: 'listing',
    name: 'every append to a run that has ended ends it anew',
    spoil: opening((store) => {
      const ends = new Map<string, number>()
      return {
        ...store,
        events: {
          ...store.events,
          append: async (runId, events, options) => {
            if (isTerminal(options.run.status)) ends.set(runId, await store.now())
            return store.events.append(runId, events, options)
          },
        },
        runs: {
          ...store.runs,
          find: async (runId) => {
            const found = await store.runs.find(runId)
            return found && { ...found, ...(ends.has(runId) && { endedAt: Number(ends.get(runId)) }) }
          },
        },
      }
    }),
  },
]

const nameMutants = spoiling('ids', 'runs', {
  'queues are told apart without accents': (healthy) => ({
    claim: async (request) => {
      const names = new Set(request.queues.map(({ name }) => name.normalize('NFC')))
      return healthy.claim({ ...request, queues: [...names].map((name) => ({ ...request.queues[0], name })) })
    },
  }),
  'concurrency keys are told apart without their case': (healthy, store) => ({
    claim: async (request) => {
      const claims = await healthy.claim(request)
      if (request.queues[0]?.concurrencyPerKey === undefined) return claims
      const rows = await Promise.all(claims.map(async ({ runId }) => store.runs.find(runId)))
      const keys = rows.map((row) => row?.concurrencyKey?.toLowerCase())
      return claims.filter((_, i) => keys.indexOf(keys[i]) === i)
    },
  }),
})

/** Stores that tell the next due run, the time or the ends of runs wrongly, or confuse the names of queues. */
export const dueTimeMutants: readonly Mutant[] = [...dueMutants, ...timeMutants, ...endMutants, ...nameMutants]
