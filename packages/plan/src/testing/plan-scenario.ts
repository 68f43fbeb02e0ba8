import type { Kernel, Workflow } from '@varve/kernel'
import type { CrashScenario } from '@varve/testing'
import { z } from 'zod'
import {
  approvalState,
  bytes,
  childState,
  createEngine,
  definePlan,
  defineState,
  mapState,
  type Engine,
} from '../index.ts'

/** A scenario whose workflows come from its engine. */
export type PlanScenario = CrashScenario<Readonly<Record<string, Workflow>>>

/** What a handler does outside. */
type Act = (key: string) => Promise<void>

/** A plan of one state. */
function childPlan() {
  const params = z.object({ total: z.int() })
  const inner = defineState({ id: 'inner', params, output: z.int(), run: ({ params: { total } }) => total + 1 })
  return definePlan({ id: 'child', version: '1', params, states: [inner], output: inner })
}

/** A plan with a state of every kind, that retries, asks, fans out, is cached, and publishes once. */
function releasePlan(act: Act) {
  const source = defineState({
    id: 'source',
    params: z.object({ count: z.int() }),
    output: z.array(z.int()),
    retry: { maxAttempts: 3, baseMs: 10 },
    run: async ({ io, params, attempt }) => {
      const first = await io.fact('first', () => 7)
      await io.now()
      if (attempt === 1) throw Object.assign(new Error('not yet'), { kind: 'transient' })
      return Array.from({ length: params.count }, (_, i) => first + i)
    },
  })
  const squares = mapState({
    id: 'squares',
    needs: { source },
    items: ({ needs }) => needs.source,
    key: (n) => `n${n}`,
    output: z.int(),
    cache: true,
    run: ({ item }) => item * item,
  })
  const child = childPlan()
  const nested = childState({
    id: 'nested',
    plan: child,
    needs: { squares },
    childParams: ({ needs }) => ({ total: needs.squares.reduce((sum, { value }) => sum + value, 0) }),
  })
  const page = defineState({
    id: 'page',
    needs: { nested },
    output: bytes({ mediaType: 'text/plain' }),
    run: ({ needs }) => new TextEncoder().encode(`total ${needs.nested}`),
  })
  const approval = approvalState({ id: 'approval', needs: { nested }, question: ({ needs }) => needs.nested })
  const publish = defineState({
    id: 'publish',
    needs: { page, approval },
    effect: 'at-most-once',
    output: z.string(),
    run: async ({ needs, idempotencyKey }) => {
      await act(idempotencyKey)
      return needs.approval.by ?? 'nobody'
    },
  })
  const states = [source, squares, nested, page, approval, publish]
  return definePlan({ id: 'release', version: '1', params: z.object({ count: z.int() }), states, output: publish })
}

/** The release plan as a scenario for a crash matrix. */
export function planScenario(open: PlanScenario['open'], maxConcurrency: number): PlanScenario {
  const provenance = { gitCommit: null, lockfileHash: null, nodeVersion: null, platform: null }
  const engines = new WeakMap<Kernel, Engine>()
  return {
    open,
    workflows: () => ({}),
    begin: async ({ kernel, store, clock, effect }) => {
      const plan = releasePlan(async (key) => effect(key))
      const engine = createEngine({ kernel, store, clock, plans: [plan], provenance })
      engines.set(kernel, engine)
      await engine.start(plan, { count: 3 }, { runId: 'release-1', config: { maxConcurrency } })
    },
    answer: ({ runId, blockedOn }, { kernel }) => {
      const engine = engines.get(kernel)
      if (blockedOn.some(({ inDoubt }) => inDoubt === true)) {
        return engine?.settle(runId, 'publish', { status: 'succeeded', output: 'ann' })
      }
      const isAsked = blockedOn.some(({ kind }) => kind === 'interrupt')
      return isAsked ? engine?.approve(runId, 'approval', { approved: true, by: 'ann' }) : undefined
    },
    compare: ({ outcome }) => outcome,
  }
}
