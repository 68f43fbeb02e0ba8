import { createEngine, definePlan, defineState, type State } from '@varve/plan'
import type { Store } from '@varve/store'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Figures, Workload } from '../rounds/program.ts'

/** A plan of so many cached states, in layers of a hundred, run twice. */
export const plans: Workload = {
  title: 'Plans',
  prepare: async ({ store }, { states }) => ({
    programs: [{ name: 'varve', measure: () => timePlans(store, states) }],
  }),
}

/**
 * Scheduling is what the turns of the first run took besides their appends, that is folding, deciding and sealing; next to
 * the time in which at least one of its commits was under way.
 */
async function timePlans(store: Store, states: number): Promise<Figures> {
  const { timed, busyMs } = timedWrites(store)
  let schedulingMs = 0
  const observer = {
    onTurn: ({ durationMs }: { readonly durationMs: number }) => void (schedulingMs += durationMs),
    onAppend: ({ durationMs }: { readonly durationMs: number }) => void (schedulingMs -= durationMs),
  }
  const plan = layeredPlan(states)
  await using engine = createEngine({ store: timed, plans: [plan], observer })
  const time = async (): Promise<number> => {
    const startedAt = performance.now()
    const { status } = await engine.start(plan, undefined)
    if (status !== 'completed') throw new Error(`the plan ended as ${status}`)
    return performance.now() - startedAt
  }
  const firstMs = await time()
  const first = { 'scheduling ms': schedulingMs, 'scheduling / commits': schedulingMs / busyMs() }
  return { 'first run ms': firstMs, ...first, 'cached run ms': await time() }
}

const WIDTH = 100

function layeredPlan(count: number) {
  // Another plan in each run of the bench, so that nothing is found in the cache.
  const version = randomUUID()
  const states: State[] = []
  for (let at = 0; at < count; at++) {
    const needs: Record<string, State> = {}
    const layer = Math.floor(at / WIDTH)
    const above = [at, at + 1].map((other) => states[(layer - 1) * WIDTH + (other % WIDTH)])
    for (const [i, state] of above.entries()) if (state !== undefined) needs[`need${i}`] = state
    states.push(
      defineState({
        ...{ id: `state${at}`, version, needs, cache: true, output: z.object({ at: z.int(), needs: z.int() }) },
        run: (context) => ({ at, needs: Object.keys(context.needs).length }),
      }),
    )
  }
  return definePlan({ id: 'layers', version, states })
}

/** The same store, which says for how long at least one of its writes was under way. */
function timedWrites(store: Store): { readonly timed: Store; readonly busyMs: () => number } {
  let underWay = 0
  let since = 0
  let busy = 0
  const timed = <Port extends object>(port: Port, verbs: readonly (keyof Port)[]): Port => {
    const replaced = verbs.map((verb) => {
      const call = port[verb] as (...args: unknown[]) => Promise<unknown>
      return [
        verb,
        async (...args: unknown[]) => {
          if (underWay++ === 0) since = performance.now()
          try {
            return await call.apply(port, args)
          } finally {
            if (--underWay === 0) busy += performance.now() - since
          }
        },
      ]
    })
    return Object.assign(Object.create(port), Object.fromEntries(replaced)) as Port
  }
  return {
    busyMs: () => busy,
    timed: {
      ...store,
      events: timed(store.events, ['append']),
      artifacts: timed(store.artifacts, ['put', 'touch']),
      cache: timed(store.cache, ['putIfAbsent']),
      [Symbol.asyncDispose]: async () => undefined,
    },
  }
}
