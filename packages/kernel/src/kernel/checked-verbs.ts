import { checkOptions, type NamesOf, type PageRequest, type RunFilter } from '@varve/store'
import { checkNames } from '../known-names.ts'
import type { PruneOptions } from '../retention/prune.ts'
import type { InterruptFilter } from '../views/open-interrupts.ts'
import type { WatchOptions } from '../views/watch.ts'
import type { FollowOptions } from './follow.ts'
import type { ForkOptions } from './fork.ts'
import type { Kernel } from './kernel.ts'
import type { MigrateOptions } from './migrate.ts'
import type { RunOptions, StartOptions } from './options.ts'
import type { CancelOptions, SettleOptions, SignalOptions } from './post.ts'
import type { AnswerOptions } from './resume.ts'

/** Where a verb takes options, and which there are. */
interface Place {
  readonly at: number
  readonly names: Readonly<Record<string, true>>
}

function place<Options>(at: number, names: NamesOf<Options>): Place {
  return { at, names }
}

const initialState = { initialState: true } as const

const page = place<PageRequest>(1, { limit: true, cursor: true })

/** Where verbs that answer by a promise take options that may be left out. */
const OPTIONAL = {
  start: [
    place<StartOptions>(2, {
      ...{ runId: true, tags: true, queue: true, priority: true, concurrencyKey: true },
      ...{ startAt: true, delayMs: true, deadlineMs: true, wait: true },
    }),
  ],
  run: [place<RunOptions>(1, initialState)],
  follow: [place<FollowOptions>(1, { signal: true })],
  recover: [place<NonNullable<Parameters<Kernel['recover']>[0]>>(0, { concurrency: true })],
  replay: [place<RunOptions>(1, initialState)],
  replayFromSnapshot: [place<RunOptions>(1, initialState)],
  stateAt: [place<RunOptions>(2, initialState)],
  verify: [place<RunOptions>(1, initialState)],
  list: [
    place<RunFilter>(0, {
      ...{ workflow: true, version: true, statuses: true, tags: true, parent: true, artifact: true },
      ...{ parked: true, owing: true, leased: true, createdFrom: true, createdBefore: true, endedBefore: true },
    }),
    page,
  ],
  listInterrupts: [
    place<InterruptFilter>(0, {
      ...{ workflow: true, tags: true, parent: true, createdFrom: true, createdBefore: true, kind: true },
    }),
    page,
  ],
} as const satisfies Places

/** Where they take those that they cannot do without. */
const NEEDED = {
  resume: [place<AnswerOptions>(1, { key: true, value: true, by: true, wait: true })],
  signal: [place<SignalOptions>(1, { name: true, value: true, id: true, by: true, wait: true })],
  cancel: [place<CancelOptions>(1, { reason: true, by: true, graceMs: true, wait: true })],
  settle: [place<SettleOptions>(1, { key: true, outcome: true, by: true, wait: true })],
  fork: [place<ForkOptions>(1, { at: true, as: true, edit: true, version: true, reuse: true, wait: true })],
  migrate: [place<MigrateOptions>(1, { to: true, initialState: true, wait: true })],
  prune: [
    place<PruneOptions>(0, {
      ...{ olderThanMs: true, statuses: true, workflow: true, tags: true, limit: true },
      ...{ artifacts: true, artifactsUnusedMs: true, before: true, secrets: true },
    }),
  ],
} as const satisfies Places

type Places = { readonly [V in keyof Kernel]?: readonly Place[] }

/**
 * The same kernel, whose verbs refuse a text, null or nothing where they take options, and options that there are not: what was
 * meant by it would be passed over without a word, or missed in an engine's words. A fork without its `reuse` pays again, a prune
 * without its filter removes for good what was to stay.
 */
export function checkingOptions(kernel: Kernel): Kernel {
  const optional = Object.entries(OPTIONAL).map(([verb, places]) => checked(kernel, verb as Checked, places, false))
  const needed = Object.entries(NEEDED).map(([verb, places]) => checked(kernel, verb as Checked, places, true))
  return Object.assign(kernel, ...optional, ...needed) as Kernel
}

type Checked = keyof typeof OPTIONAL | keyof typeof NEEDED

type Verbs = Readonly<Record<Checked, (...args: readonly unknown[]) => Promise<unknown>>>

function checked(kernel: Kernel, verb: Checked, places: readonly Place[], isNeeded: boolean): Partial<Kernel> {
  const { [verb]: call } = kernel as Verbs
  const checking: typeof call = (...args) => {
    try {
      for (const { at, names } of places) if (isNeeded || args[at] !== undefined) checkGiven(verb, args[at], names)
    } catch (error) {
      const refusal = error as Error
      return Promise.reject(refusal)
    }
    return call(...args)
  }
  return { [verb]: checking }
}

/** What verbs take that answer event by event, and check it when they are asked for the first. */
const BY_EVENT = {
  watch: { from: true, signal: true } satisfies NamesOf<WatchOptions>,
  executionLog: initialState satisfies NamesOf<RunOptions>,
} as const satisfies { readonly [V in keyof Kernel]?: Place['names'] }

/** @throws StoreError `INVALID_ARGUMENT` for what are no options, KernelError `INVALID_INPUT` for one that there is not. */
export function checkFirst(verb: keyof typeof BY_EVENT, options: unknown): void {
  checkGiven(verb, options, BY_EVENT[verb])
}

function checkGiven(verb: string, options: unknown, names: Place['names']): void {
  checkOptions(`what ${verb} is given`, options)
  checkNames(verb, options as object, names, 'INVALID_INPUT')
}
