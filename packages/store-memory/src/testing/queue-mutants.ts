import { StoreError, type Claim, type ClaimRequest, type QueueClaim, type RunRow, type Store } from '@varve/store'
import { pause, row, spoiling, type Mutant } from './mutant.ts'

/** A claim whose queues are others than those asked for. */
function asking(
  change: (queue: QueueClaim) => QueueClaim | undefined,
): (healthy: Store['runs']) => Partial<Store['runs']> {
  return (healthy) => ({
    claim: (request) => healthy.claim({ ...request, queues: request.queues.flatMap((queue) => change(queue) ?? []) }),
  })
}

function without(limit: 'concurrency' | 'concurrencyPerKey' | 'rate'): (queue: QueueClaim) => QueueClaim {
  return ({ [limit]: _, ...queue }) => queue
}

/** Gives the runs back that the store should have kept, or should not have taken. */
async function keep(
  store: Store,
  claims: readonly Claim[],
  isKept: (row: RunRow, kept: readonly RunRow[]) => boolean,
): Promise<Claim[]> {
  const kept: RunRow[] = []
  const answer: Claim[] = []
  for (const claim of claims) {
    const taken = await row(store, claim.runId)
    if (isKept(taken, kept)) {
      kept.push(taken)
      answer.push(claim)
    } else await store.runs.release(claim, { expectedHead: claim.head })
  }
  return answer
}

/** Takes all that is due, and of it those that come first by another order. */
function ordering(
  compare: (a: RunRow, b: RunRow) => number,
): (healthy: Store['runs'], store: Store) => Partial<Store['runs']> {
  return (healthy, store) => ({
    claim: async (request) => {
      const before = new Map((await allRows(store)).map((each) => [each.runId, each]))
      const rowBefore = ({ runId }: Claim): RunRow => before.get(runId) as RunRow
      const claims = await healthy.claim({ ...request, limit: 1000 })
      const sorted = claims.toSorted((a, b) => compare(rowBefore(a), rowBefore(b)))
      return keep(store, sorted, (_, kept) => kept.length < request.limit)
    },
  })
}

async function allRows(store: Store): Promise<readonly RunRow[]> {
  return (await store.runs.list({}, { limit: 1000 })).items
}

/** Claims with a concurrency that also counts other rows, or, with -1, does not count some. */
function counting(
  sign: 1 | -1,
  counts: (row: RunRow, queue: string, request: ClaimRequest, now: number) => boolean,
): (healthy: Store['runs'], store: Store) => Partial<Store['runs']> {
  return (healthy, store) => ({
    claim: async (request) => {
      const rows = await allRows(store)
      const now = await store.now()
      const queues = request.queues.flatMap((queue) => {
        if (queue.concurrency === undefined) return queue
        const count = rows.filter((each) => counts(each, queue.name, request, now)).length
        const concurrency = queue.concurrency - sign * count
        return concurrency < 1 ? [] : { ...queue, concurrency }
      })
      return healthy.claim({ ...request, queues })
    },
  })
}

const byAge = (a: RunRow, b: RunRow): number => (a.wakeAt ?? 0) - (b.wakeAt ?? 0) || (a.runId < b.runId ? -1 : 1)

const turnMutants = spoiling('queues', 'runs', {
  'a queue is emptied before the next has its turn': (healthy) => ({
    claim: async (request) => {
      const claims: Claim[] = []
      for (const queue of request.queues) {
        const limit = request.limit - claims.length
        if (limit > 0) claims.push(...(await healthy.claim({ ...request, queues: [queue], limit })))
      }
      return claims
    },
  }),
  'queues take turns in the order of their names': (healthy) => ({
    claim: (request) =>
      healthy.claim({ ...request, queues: request.queues.toSorted((a, b) => (a.name < b.name ? -1 : 1)) }),
  }),
  'priorities are ignored': ordering(byAge),
  'low priorities come first': ordering((a, b) => a.priority - b.priority || byAge(a, b)),
  'runs of one age come in any order': ordering(
    (a, b) => b.priority - a.priority || (a.wakeAt ?? 0) - (b.wakeAt ?? 0) || (a.runId < b.runId ? 1 : -1),
  ),
  'a run that was parked keeps its place': ordering((a, b) => b.priority - a.priority || byAge(a, b)),
  'a queue that is named twice is taken for one': (healthy) => ({
    claim: (request) => {
      const byName = new Map(request.queues.map((queue) => [queue.name, queue]))
      return healthy.claim({ ...request, queues: [...byName.values()] })
    },
  }),
  'queues beyond the thousandth are ignored': (healthy) => ({
    claim: (request) => healthy.claim({ ...request, queues: request.queues.slice(0, 1000) }),
  }),
  'a limit of 0 is none': asking(({ concurrency, ...queue }) =>
    concurrency === 0 ? queue : { ...queue, ...(concurrency !== undefined && { concurrency }) },
  ),
  'only claims check their queues': (healthy) => ({
    dueIn: (request) =>
      healthy.dueIn({
        ...request,
        queues: [...new Set(request.queues.map(({ name }) => name))].slice(0, 1000).map((name) => ({ name })),
      }),
  }),
})

const concurrencyMutants = spoiling('queues', 'runs', {
  'the concurrency is forgotten': asking(without('concurrency')),
  'the concurrency per key is forgotten': asking(without('concurrencyPerKey')),
  "only the claimer's own leases count": counting(
    -1,
    ({ queue, lease }, name, { owner }, now) =>
      queue === name && lease !== undefined && lease.until > now && lease.owner.id !== owner.id,
  ),
  'leases that ran out count': counting(
    1,
    ({ queue, lease }, name, _, now) => queue === name && lease !== undefined && lease.until <= now,
  ),
  'what the claimer cannot drive does not count': counting(
    -1,
    ({ queue, lease, workflow, version }, name, { workflows }, now) =>
      queue === name &&
      lease !== undefined &&
      lease.until > now &&
      !workflows.some((driven) => driven.name === workflow && driven.versions.includes(version)),
  ),
  'of leased runs those count that are running': counting(
    -1,
    ({ queue, lease, status }, name, _, now) =>
      queue === name && lease !== undefined && lease.until > now && status !== 'running',
  ),
  'blocked runs count': counting(1, ({ queue, status }, name) => queue === name && status === 'blocked'),
  'parked runs count': counting(1, ({ queue, problem }, name) => queue === name && problem !== undefined),
  'runs of other queues count': counting(1, ({ queue, lease }, name) => queue !== name && lease !== undefined),
  'runs without a key count as if they had the same': (healthy, store) => ({
    claim: async (request) =>
      keep(store, await healthy.claim(request), ({ queue, concurrencyKey }, kept) => {
        const isLimited = request.queues.some((each) => each.name === queue && each.concurrencyPerKey !== undefined)
        return !isLimited || concurrencyKey !== undefined || kept.every((each) => each.concurrencyKey !== undefined)
      }),
  }),
  'keys count in all queues together': (healthy, store) => ({
    claim: async (request) => {
      const claims = await healthy.claim(request)
      const rows = (await allRows(store)).filter(({ lease }) => lease !== undefined)
      return keep(store, claims, ({ queue, concurrencyKey: key }) =>
        rows.every((each) => key === undefined || each.queue === queue || each.concurrencyKey !== key),
      )
    },
  }),
  'only the first runs of a queue are looked at': (healthy, store) => ({
    claim: async (request) => {
      const [queue] = request.queues
      if (queue?.concurrencyPerKey === undefined) return healthy.claim(request)
      const leased = (await allRows(store)).filter(({ lease }) => lease !== undefined)
      const claims = await healthy.claim({ ...request, queues: request.queues.map(without('concurrencyPerKey')) })
      return keep(store, claims, ({ concurrencyKey: key }, kept) => {
        const ofKey = [...leased, ...kept].filter((each) => key !== undefined && each.concurrencyKey === key)
        return ofKey.length < (queue.concurrencyPerKey ?? Infinity)
      })
    },
  }),
})

/** A rate of our own making: what counts, and how long. */
function pacing(
  counts: (claim: Claim) => boolean,
  isOver: (at: number, now: number, periodMs: number) => boolean,
): (healthy: Store['runs'], store: Store) => Partial<Store['runs']> {
  const begun: number[] = []
  return (healthy, store) => ({
    claim: async (request) => {
      const [queue] = request.queues
      if (queue?.rate === undefined) return healthy.claim(request)
      const { limit, periodMs } = queue.rate
      const now = await store.now()
      let left = limit - begun.filter((at) => !isOver(at, now, periodMs)).length
      const claims = await healthy.claim({ ...request, queues: request.queues.map(without('rate')) })
      const kept = new Set(claims.filter((claim) => !counts(claim) || left-- > 0))
      begun.push(...[...kept].filter(counts).map(() => now))
      return keep(store, claims, ({ runId }) => [...kept].some((claim) => claim.runId === runId))
    },
  })
}

/** Each list of workflows has a rate of its own. */
function pacingEach(healthy: Store['runs'], store: Store): Partial<Store['runs']> {
  const claimers = new Map<string, Partial<Store['runs']>>()
  const isOver = (at: number, now: number, periodMs: number): boolean => slides(at, now, periodMs) || at > now
  return {
    claim: async (request) => {
      const of = JSON.stringify(request.workflows)
      const claimer = claimers.get(of) ?? pacing(begins, isOver)(healthy, store)
      claimers.set(of, claimer)
      return claimer.claim?.(request) ?? []
    },
  }
}

const slides = (at: number, now: number, periodMs: number): boolean => at <= now - periodMs
const begins = ({ token }: Claim): boolean => token === 1

const rateMutants = spoiling('queues', 'runs', {
  'the rate is forgotten': asking(without('rate')),
  'the period jumps from one to the next': pacing(
    begins,
    (at, now, periodMs) => Math.floor(at / periodMs) !== Math.floor(now / periodMs),
  ),
  'what began by a clock that was ahead counts until its time is over': pacing(begins, slides),
  'what the claimer cannot drive has not begun': pacingEach,
  'runs that go on use up the rate': pacing(() => true, slides),
  'a period is a millisecond longer': asking(({ rate, ...queue }) => ({
    ...queue,
    ...(rate !== undefined && { rate: { ...rate, periodMs: rate.periodMs + 1 } }),
  })),
  'a period is a millisecond shorter': asking(({ rate, ...queue }) => ({
    ...queue,
    ...(rate !== undefined && { rate: { ...rate, periodMs: Math.max(1, rate.periodMs - 1) } }),
  })),
  'a run that has begun counts only as long as it is leased': asking(({ rate, ...queue }) => ({
    ...queue,
    ...(rate !== undefined && { concurrency: rate.limit }),
  })),
  'a rate holds back what goes on': (healthy, store) => ({
    claim: async (request) =>
      keep(
        store,
        await healthy.claim(request),
        ({ token }) => token === 1 || request.queues.every(({ rate }) => rate === undefined),
      ),
  }),
  'whoever leases a run uses up the rate': (healthy) => {
    let acquired = 0
    return {
      acquire: async (runId, request) => {
        acquired++
        return healthy.acquire(runId, request)
      },
      claim: async (request) => {
        const queues = request.queues.flatMap((queue) => {
          const left = (queue.rate?.limit ?? Infinity) - acquired
          if (queue.rate === undefined) return queue
          return left > 0 ? { ...queue, rate: { ...queue.rate, limit: left } } : []
        })
        return healthy.claim({ ...request, queues })
      },
    }
  },
})

const raceMutants = spoiling('queue races', 'runs', {
  'others lease between the count and the lease': (healthy, store) => ({
    claim: async (request) => {
      const rows = (await allRows(store)).filter(({ lease }) => lease !== undefined)
      await pause()
      const room = Math.min(...request.queues.map(({ concurrency = Infinity }) => concurrency)) - rows.length
      if (room < 1) return []
      const queues = request.queues.map(without('concurrency'))
      return healthy.claim({ ...request, queues, limit: Math.min(request.limit, room) })
    },
  }),
  'others lease between the count of a key and the lease': (healthy, store) => ({
    claim: async (request) => {
      const rows = (await allRows(store)).filter(({ lease }) => lease !== undefined)
      await pause()
      const claims = await healthy.claim({ ...request, queues: request.queues.map(without('concurrencyPerKey')) })
      return keep(store, claims, ({ concurrencyKey }, kept) => {
        const ofKey = [...rows, ...kept].filter((each) => each.concurrencyKey === concurrencyKey)
        return ofKey.length < (request.queues[0]?.concurrencyPerKey ?? Infinity)
      })
    },
  }),
  'others begin runs between the count and the lease': (healthy, store) => ({
    claim: async (request) => {
      const rows = (await allRows(store)).filter(({ token }) => token > 0)
      await pause()
      const limits = request.queues.flatMap(({ rate }) => (rate === undefined ? [] : [rate.limit]))
      if (rows.length >= Math.min(...limits)) return []
      return healthy.claim({ ...request, queues: request.queues.map(without('rate')) })
    },
  }),
  'who comes while another claims is told that the store is busy': (healthy) => {
    let claiming = 0
    return {
      claim: async (request) => {
        if (claiming > 0) throw new StoreError('STORE_BUSY', 'another claims')
        claiming++
        await pause()
        claiming--
        return healthy.claim(request)
      },
    }
  },
})

/** Stores that claim from queues wrongly. */
export const queueMutants: readonly Mutant[] = [...turnMutants, ...concurrencyMutants, ...rateMutants, ...raceMutants]
