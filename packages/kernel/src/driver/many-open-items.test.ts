import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { createKernel, type Kernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import type { OpenItem } from '../run/item.ts'
import { OpenItems } from '../run/open-items.ts'
import { manualClock, settled, type ManualClock } from '../testing/manual-clock.ts'
import type { LooseNext } from '../testing/loose-step.ts'
import type { Decision, Requests } from '../workflow/decision.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'

const SECOND = 1000

/** A kind of item, of which many are opened at once and close one after another. */
interface Kind {
  readonly kind: string
  /** Asks for the one that closes as number `at`, from 1. */
  readonly ask: (next: ManyNext, at: number) => Requests
  /** True where the run would be given back otherwise, and read anew each time. */
  readonly isHeld?: true
  /** Closes that one. */
  readonly close: (world: World, at: number) => unknown
}

/** `next` with the names of this workflow. */
interface ManyNext extends LooseNext {
  readonly sleep: (ms: number, options: { key: string }) => Requests
  readonly waitFor: (signal: string, options: { key: string; timeoutMs?: number }) => Requests
  readonly child: (workflow: unknown, input: number, options: { key: string }) => Requests
}

interface World {
  readonly clock: ManualClock
  readonly kernel: Kernel
  /** Ends what the handlers of actions wait for, by their inputs. */
  readonly ends: Map<number, () => void>
}

const napping = defineWorkflow(
  { name: 'napping', version: '1', input: z.number() },
  { step: ({ input, results }, next) => (results['sleep'] ? next.complete(input) : next.sleep(input)) },
)

const inASecond = ({ clock }: World): Promise<void> => clock.advance(SECOND)

const kinds: readonly Kind[] = [
  { kind: 'timers', ask: (next, at) => next.sleep(at * SECOND, { key: `${at}` }), close: inASecond },
  {
    kind: 'attempts',
    ask: (next, at) => next.run('call', at, { key: `${at}` }),
    close: ({ ends }, at) => ends.get(at)?.(),
  },
  { kind: 'retries', ask: (next, at) => next.run('flaky', at * SECOND, { key: `${at}` }), close: inASecond },
  {
    kind: 'waits for one signal',
    ask: (next, at) => next.waitFor('go', { key: `${at}` }),
    isHeld: true,
    close: ({ kernel }) => {
      // Resolves when the run rests.
      void kernel.signal('run', { name: 'go', value: null })
    },
  },
  {
    kind: 'waits that time out',
    ask: (next, at) => next.waitFor('go', { key: `${at}`, timeoutMs: at * SECOND }),
    close: inASecond,
  },
  {
    kind: 'children',
    ask: (next, at) => next.child(napping, 5 * at, { key: `${at}` }),
    close: ({ clock }) => clock.advance(5),
  },
]

const CLOSING = ['ActionSucceeded', 'TimerFired', 'SignalDelivered', 'WaitTimedOut', 'ChildCompleted']

/** Asks for so many at once. When one has closed, all are open: from then on, it asks for that which closes last. */
function manyOf({ ask, isHeld }: Kind, { ends }: Pick<World, 'ends'>): Workflow<number> {
  const actions = {
    call: {
      run: (at: number) =>
        new Promise((resolve) =>
          ends.set(at, () => {
            resolve(null)
          }),
        ),
    },
    flaky: {
      retry: { maxAttempts: 2, baseMs: 1 },
      run: (retryAfterMs: number, { attempt }: { readonly attempt: number }) => {
        if (attempt === 1) throw new ActionError('rate-limited', 'later', { retryAfterMs })
        return null
      },
    },
  }
  const start = { input: z.number(), initialState: (count: number) => ({ count, closed: 0 }) }
  return defineWorkflow(
    { name: 'many', version: '1', ...start, signals: { go: z.null() }, actions },
    {
      reduce: (state, { type }) => (CLOSING.includes(type) ? { ...state, closed: state.closed + 1 } : state),
      step: ({ count, closed }, next): Decision => {
        if (closed === count) return next.complete(closed)
        const wanted = closed > 0 ? [count] : Array.from({ length: count }, (_, i) => i + 1)
        const held = isHeld === true ? [next.run('call', 0, { key: 'held' })] : []
        return next.all([...held, ...wanted.map((at) => ask(next as unknown as ManyNext, at))])
      },
    },
  )
}

/** Counts how often anybody reads anything of an open item, in all runs of this process. */
function countLooks() {
  const count = { looks: 0 }
  const seen = new WeakSet<OpenItem>()
  const counted = (item: OpenItem): OpenItem => {
    if (seen.has(item)) return item
    const proxy = new Proxy(item, {
      get: (target, property) => {
        count.looks++
        return Reflect.get(target, property) as unknown
      },
    })
    seen.add(proxy)
    return proxy
  }
  const put = Object.getOwnPropertyDescriptor(OpenItems.prototype, 'put')?.value as (
    this: OpenItems,
    item: OpenItem,
  ) => void
  const spy = vi.spyOn(OpenItems.prototype, 'put').mockImplementation(function (this: OpenItems, item) {
    put.call(this, counted(item))
  })
  return Object.assign(count, {
    [Symbol.dispose]: () => {
      spy.mockRestore()
    },
  })
}

/** How often a run of so many open items looks at them when one of them closes; most times, for once in a while it writes a snapshot. */
async function looksPerClose(kind: Kind, count: number): Promise<number | undefined> {
  const clock = manualClock()
  const ends = new Map<number, () => void>()
  const workflow = manyOf(kind, { ends })
  await using store = memoryStore({ now: clock.now })
  await using kernel = createKernel({ store, clock, workflows: [workflow, napping] })
  using counted = countLooks()

  const ended = kernel.start(workflow, count, { runId: 'run' })
  for (let i = 0; i < 20; i++) await settled()
  const looks: number[] = []
  for (let at = 1; at <= CLOSED; at++) {
    const before = counted.looks
    await kind.close({ clock, kernel, ends }, at)
    await settled()
    looks.push(counted.looks - before)
  }

  expect(await closedIn(store)).toBe(CLOSED)
  await kernel.cancel('run', { reason: 'enough was seen' })
  expect(await ended).toMatchObject({ status: 'canceled' })
  return looks.sort((a, b) => a - b)[CLOSED / 2]
}

async function closedIn(store: Store): Promise<number> {
  return (await typesOf(store, 'run')).filter((type) => CLOSING.includes(type)).length
}

const CLOSED = 20

describe('a run with many open items', () => {
  // Both are more than its row lists.
  test.for(kinds)('looks at no more of them than one with few does when one closes: $kind', async (kind) => {
    const few = await looksPerClose(kind, 150)
    const many = await looksPerClose(kind, 1200)

    expect(few).toBeGreaterThan(0)
    expect(many).toBe(few)
  })
})
