import { isStoreError, StoreError, type Store } from '@varve/store'
import { pause, spoiling, type Mutant } from './mutant.ts'

type Append = Store['events']['append']
type Call = Parameters<Append>

/** Gathers the appends of one turn of the event loop, as a store does that lets them share a commit. */
function gathering(commit: (calls: readonly Call[]) => Promise<readonly PromiseSettledResult<Answer>[]>): Append {
  let waiting: { readonly call: Call; readonly settle: (result: PromiseSettledResult<Answer>) => void }[] = []
  const flush = async (): Promise<void> => {
    await pause()
    const batch = waiting
    waiting = []
    const results = await commit(batch.map(({ call }) => call))
    for (const [n, { settle }] of batch.entries()) settle(results[n] ?? lost)
  }
  return async (...call) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) void flush()
      const settle = (result: PromiseSettledResult<Answer>): void =>
        result.status === 'fulfilled' ? resolve(result.value) : reject(result.reason as Error)
      waiting.push({ call, settle })
    })
}

type Answer = Awaited<ReturnType<Append>>

const lost: PromiseSettledResult<Answer> = { status: 'rejected', reason: new StoreError('STORE_FAILED', 'no answer') }

async function each(events: Store['events'], calls: readonly Call[]): Promise<readonly PromiseSettledResult<Answer>[]> {
  return Promise.allSettled(calls.map(async (call) => events.append(...call)))
}

/** Stores that let writes share a commit, and confuse them. */
export const sharedCommitMutants: readonly Mutant[] = [
  ...spoiling('shared commits', 'events', {
    'the answers of a batch come in the wrong order': (healthy) => ({
      append: gathering(async (calls) => (await each(healthy, calls)).toReversed()),
    }),
    'a batch fails as a whole': (healthy) => ({
      append: gathering(async (calls) => {
        const results = await each(healthy, calls)
        return results.find(({ status }) => status === 'rejected') === undefined ? results : calls.map(() => lost)
      }),
    }),
    'a batch answers success for what it refused': (healthy) => ({
      append: gathering(async (calls) => {
        const results = await each(healthy, calls)
        return results.map((result) =>
          calls.length > 1
            ? { status: 'fulfilled', value: { waiting: 0 }, ...(result.status === 'fulfilled' && result) }
            : result,
        )
      }),
    }),
    'the last write of a batch is acknowledged and forgotten': (healthy) => ({
      append: gathering(async (calls) => {
        const results = await each(healthy, calls.length < 9 ? calls : calls.slice(0, -1))
        return calls.map((_, n) => results[n] ?? { status: 'fulfilled', value: { waiting: 0 } })
      }),
    }),
    'a batch writes the newest first': (healthy) => ({
      append: gathering(async (calls) => {
        const results: PromiseSettledResult<Answer>[] = []
        for (const call of calls.toReversed()) results.unshift(...(await each(healthy, [call])))
        return results
      }),
    }),
    'a body that holds what separates texts is cut': (healthy) => ({
      append: async (runId, events, options) =>
        healthy.append(
          runId,
          events.map((event) => ({ ...event, body: event.body.split('\u001f')[0] ?? '' })),
          options,
        ),
    }),
    'a batch passes over runs that somebody else writes to, and says so to nobody': (healthy, store) => ({
      append: gathering(async (calls) => {
        const results: PromiseSettledResult<Answer>[] = []
        for (const call of calls) {
          const [runId] = call
          const isPosted = ((await store.runs.find(runId))?.waiting ?? 0) > 0
          results.push(
            ...(isPosted && calls.length > 9
              ? [{ status: 'fulfilled', value: { waiting: 1 } } as const]
              : await each(healthy, [call])),
          )
        }
        return results
      }),
    }),
    'a batch has one shape for all': (healthy) => ({
      append: gathering(async (calls) => {
        const [first] = calls
        const { version: _, ...run } = first?.[2].run ?? { status: 'running', blockedOn: [], wakeAt: 0 }
        const shaped = calls.map(([runId, events, options]): Call => [
          runId,
          events,
          options.run.create === undefined ? { ...options, run } : options,
        ])
        return each(healthy, shaped)
      }),
    }),
    'a batch releases all or none': (healthy) => ({
      append: gathering(async (calls) => {
        const release = calls[0]?.[2].release === true
        const released = calls.map(([runId, events, options]): Call => [
          runId,
          events,
          options.run.create === undefined ? { ...options, release } : options,
        ])
        return each(healthy, released)
      }),
    }),
    'a second create in a batch answers the claim of the first': (healthy) => ({
      append: async (runId, events, options) => {
        try {
          return await healthy.append(runId, events, options)
        } catch (error) {
          if (options.run.create !== undefined && isStoreError(error, 'HEAD_CONFLICT')) return { waiting: 0 }
          throw error
        }
      },
    }),
  }),
  ...spoiling('shared commits', 'snapshots', {
    'a snapshot beside an append of its run is lost': (healthy, store) => ({
      save: async (snapshot) => {
        const found = await store.runs.find(snapshot.runId)
        if (found === undefined || found.head === snapshot.seq) await healthy.save(snapshot)
      },
    }),
  }),
]
