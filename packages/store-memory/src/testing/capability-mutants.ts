import { isTerminal, type RunUpdate, type Store } from '@varve/store'
import type { Harness } from '@varve/store-contract'
import { opening, type Mutant } from './mutant.ts'

/** Tells listeners something else, or nobody. */
function telling(tell: (listener: Listener) => Listener): (harness: Harness) => Harness {
  return opening((store) => ({
    ...store,
    notifications: {
      subscribe: (listener) => {
        const subscription = store.notifications?.subscribe(tell(listener))
        return { [Symbol.asyncDispose]: async () => subscription?.[Symbol.asyncDispose]() }
      },
    },
  }))
}

/** Tells nobody of appends like this one. */
function silencing(isSilent: (run: RunUpdate) => boolean): (harness: Harness) => Harness {
  return opening((store) => {
    const silent = new Set<string>()
    return {
      ...store,
      events: {
        ...store.events,
        append: async (...args) => {
          const [runId, , { run }] = args
          if (isSilent(run)) silent.add(runId)
          else silent.delete(runId)
          return store.events.append(...args)
        },
      },
      notifications: {
        subscribe: (listener) => {
          const unlessSilent: Listener = (change) => {
            if (change.kind === 'posted' || !silent.has(change.runId ?? '')) listener(change)
          }
          return store.notifications?.subscribe(unlessSilent) ?? { [Symbol.asyncDispose]: async () => undefined }
        },
      },
    }
  })
}

/** Tells of a run as if it had no problem. */
function forgettingProblems(harness: Harness): Harness {
  const troubled = new Set<string>()
  const told = telling((listener) => (change) => {
    listener(troubled.has(change.runId ?? '') ? { ...change, dueInMs: 0 } : change)
  })
  const noting = opening((store) => ({
    ...store,
    runs: {
      ...store.runs,
      release: async (claim, request) => {
        if (request.problem !== undefined) troubled.add(claim.runId)
        return store.runs.release(claim, request)
      },
    },
  }))
  return told(noting(harness))
}

type Listener = Parameters<NonNullable<Store['notifications']>['subscribe']>[0]

/** Stores that say what they are not, or tell their listeners something wrong. */
export const capabilityMutants: readonly Mutant[] = [
  {
    group: 'capabilities',
    name: 'notifications are declared and missing',
    spoil: opening(({ notifications: _, ...store }) => store),
  },
  {
    group: 'capabilities',
    name: 'notifications are there and not declared',
    spoil: opening((store) => ({ ...store, capabilities: { ...store.capabilities, notify: false } })),
  },
  {
    group: 'capabilities',
    name: 'nobody is told that a run moved',
    spoil: telling((listener) => (change) => {
      if (change.kind === 'posted') listener(change)
    }),
  },
  {
    group: 'capabilities',
    name: 'posts are told as moves',
    spoil: telling((listener) => (change) => {
      listener({ ...change, kind: 'moved' })
    }),
  },
  {
    group: 'capabilities',
    name: 'posts are told without their run',
    spoil: telling((listener) => ({ runId, ...change }) => {
      listener(change.kind === 'posted' || runId === undefined ? change : { ...change, runId })
    }),
  },
  {
    group: 'capabilities',
    name: 'nothing is ever told as due',
    spoil: telling((listener) => (change) => {
      listener({ ...change, dueInMs: null })
    }),
  },
  {
    group: 'capabilities',
    name: 'everything is told as due',
    spoil: telling((listener) => (change) => {
      listener({ ...change, dueInMs: 0 })
    }),
  },
  {
    group: 'capabilities',
    name: 'no post is told as due',
    spoil: telling((listener) => (change) => {
      listener(change.kind === 'posted' ? { ...change, dueInMs: null } : change)
    }),
  },
  { group: 'capabilities', name: 'what a problem holds back is told as due', spoil: forgettingProblems },
  {
    group: 'capabilities',
    name: 'of many commits at once the times are forgotten',
    spoil: telling((listener) => {
      let told = 0
      return (change) => {
        told++
        setImmediate(() => told--)
        listener(told > 9 ? { ...change, dueInMs: null } : change)
      }
    }),
  },
  {
    group: 'capabilities',
    name: 'every post is told as due, also for a run that somebody drives',
    spoil: telling((listener) => (change) => {
      listener(change.kind === 'posted' ? { ...change, dueInMs: 0 } : change)
    }),
  },
  {
    group: 'capabilities',
    name: 'what is created without a lease is not told as due',
    spoil: silencing(({ create }) => create !== undefined && create.lease === undefined),
  },
  {
    group: 'capabilities',
    name: 'nobody is told that a run has ended',
    spoil: silencing(({ status }) => isTerminal(status)),
  },
  {
    group: 'capabilities',
    name: 'an ended subscription goes on',
    spoil: opening((store) => ({
      ...store,
      notifications: {
        subscribe: (listener) => {
          store.notifications?.subscribe(listener)
          return { [Symbol.asyncDispose]: async () => undefined }
        },
      },
    })),
  },
]
