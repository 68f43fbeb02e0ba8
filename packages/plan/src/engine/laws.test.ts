import { ActionError } from '@varve/kernel'
import type { ContentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, virtualClock } from '@varve/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { AnyState, Needs } from '../definition/need.ts'
import { mapState } from '../definition/map-state.ts'
import { optional } from '../definition/need.ts'
import type { AnyPlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import { planStatus, type StateView } from '../view/plan-status.ts'
import { emptyRecord, recordEvent } from '../view/run-record.ts'
import type { Engine } from './engine.ts'
import { ProgressTracker } from './progress.ts'

/** One state of a random plan, by its position; it needs states that stand before it. */
interface Shape {
  readonly needs: readonly number[]
  readonly optional: boolean
  readonly after: boolean
  readonly kind: 'plain' | 'cached' | 'map' | 'retried'
  readonly fails: boolean
  readonly skipped: boolean
}

const shape = (at: number): fc.Arbitrary<Shape> =>
  fc.record({
    needs: at === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(at - 1), { maxLength: 3 }),
    optional: fc.boolean(),
    after: fc.boolean(),
    kind: fc.constantFrom('plain', 'plain', 'cached', 'map', 'retried'),
    fails: fc.constant(false),
    skipped: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  })

const shapes = fc
  .oneof(
    { weight: 9, arbitrary: fc.integer({ min: 1, max: 60 }) },
    { weight: 1, arbitrary: fc.integer({ min: 61, max: 300 }) },
  )
  .chain((size) => fc.tuple(...Array.from({ length: size }, (_, at) => shape(at))))

const failing = shapes.chain((all) =>
  fc.tuple(...all.map((one) => fc.integer({ min: 0, max: 7 }).map((n) => ({ ...one, fails: n === 0 })))),
)

/** A state whose output is a text that depends on everything that it sees. */
function stateOf(
  at: number,
  { needs, kind, fails, skipped, ...is }: Shape,
  ran: string[],
  busy: Set<string>,
): AnyState {
  const id = `s${at}`
  const [first, ...others] = needs.map((need) => `s${need}`)
  const seen = is.after ? others : [first, ...others].filter((need) => need !== undefined)
  const byName: Needs = Object.fromEntries(seen.map((need) => [need, is.optional ? optional(need) : need]))
  const after = is.after && first !== undefined ? [first] : []
  const common = { id, after, tags: skipped ? ['skipped'] : [], output: z.string() }
  const told = (values: object): string => `${id}(${JSON.stringify(values)})`
  if (kind === 'map') {
    return mapState({
      ...common,
      with: byName,
      items: () => Array.from({ length: at % 4 }, (_, n) => n),
      key: (n) => `n${n}`,
      run: ({ item, needs: values }) => {
        if (item === 0 || !fails) ran.push(`${id}#${item}`)
        if (fails) throw new Error(id)
        return `${item}${told(values)}`
      },
    })
  }
  return defineState({
    ...common,
    needs: byName,
    cache: kind === 'cached',
    ...(kind === 'retried' && { retry: { maxAttempts: 2, baseMs: 0 } }),
    run: (context) => {
      if (kind === 'retried' && !busy.has(id)) {
        busy.add(id)
        throw new ActionError('transient', 'busy')
      }
      ran.push(id)
      if (fails) throw new Error(id)
      return told(context.needs)
    },
  })
}

function planFrom(all: readonly Shape[]): { readonly plan: AnyPlan; readonly ran: string[] } {
  const ran: string[] = []
  // What has been busy once is not again.
  const busy = new Set<string>()
  return { ran, plan: planOf(all.map((one, at) => stateOf(at, one, ran, busy))) }
}

async function artifactsOf(engine: Engine, runId: string): Promise<Readonly<Record<string, ContentId>>> {
  const outputs = await engine.outputs(runId)
  return Object.fromEntries(
    Object.keys(outputs)
      .toSorted()
      .map((id) => [id, outputs[id]?.$artifact as ContentId]),
  )
}

const config = { skipTags: ['skipped'], onFailure: 'keep-going' } as const

async function runOf(all: readonly Shape[], maxConcurrency: number) {
  const { plan, ran } = planFrom(all)
  const engine = testEngine()
  const outcome = await engine.start(plan, undefined as never, { runId: 'r', config: { ...config, maxConcurrency } })
  return { engine, outcome, ran, artifacts: await artifactsOf(engine, 'r'), status: await engine.status('r') }
}

test(
  'one state at a time and many at once make the same artifacts, and the same ends',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(failing, fc.integer({ min: 2, max: 16 }), async (all, many) => {
        const [one, other] = [await runOf(all, 1), await runOf(all, many)]

        expect(other.artifacts).toEqual(one.artifacts)
        expect(other.outcome.status).toBe(one.outcome.status)
        expect(other.status.states.map(({ status }) => status)).toEqual(one.status.states.map(({ status }) => status))
        expect(other.ran.toSorted()).toEqual(one.ran.toSorted())
      }),
      { numRuns: 25 },
    )
  },
)

/** What each state of a plan comes to, by the rules alone. */
function expected(all: readonly Shape[]): readonly string[] {
  const ends: string[] = []
  for (const [at, { needs, optional: isOptional, after, kind, fails, skipped }] of all.entries()) {
    const of = needs.map((need) => ends[need])
    const seen = after ? of.slice(1) : of
    if (of.some((end) => end === 'failed' || end === 'blocked')) ends.push('blocked')
    else if (skipped || (!isOptional && seen.includes('skipped'))) ends.push('skipped')
    // A map over nothing runs nothing that could fail.
    else ends.push(fails && !(kind === 'map' && at % 4 === 0) ? 'failed' : 'completed')
  }
  return ends
}

test(
  'keep-going runs exactly what does not depend on a failure, and the view says what ran',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(failing, async (all) => {
        const { outcome, ran, status, artifacts } = await runOf(all, 4)
        const ends = expected(all)

        const byId = new Map(status.states.map((state) => [state.id, state]))
        expect(all.map((_, at) => byId.get(`s${at}`)?.status)).toEqual(ends)
        expect(outcome.status).toBe(ends.includes('failed') ? 'failed' : 'completed')
        expect(status).toMatchObject({ status: outcome.status, done: all.length, total: all.length })
        const begun = new Set(ran.map((id) => id.split('#')[0]))
        const mapsOverNothing = (at: number): boolean => all[at]?.kind === 'map' && at % 4 === 0
        for (const [at, end] of ends.entries()) {
          expect(begun.has(`s${at}`)).toBe((end === 'completed' || end === 'failed') && !mapsOverNothing(at))
          expect(`s${at}` in artifacts).toBe(end === 'completed')
        }
      }),
      { numRuns: 25 },
    )
  },
)

test(
  'a process that dies anywhere, and another one after it, leave the artifacts of one that did not',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        failing,
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 60 }),
        async (all, at, next) => {
          const whole = await runOf(all, 4)
          const clock = virtualClock()
          const shared = memoryStore({ now: clock.now })
          const { plan } = planFrom(all)
          const options = { config: { ...config, maxConcurrency: 4 }, plans: [plan] }
          for (const crashAt of [at, next]) {
            const dying = simulatedProcess(shared, clock, { crashAt })
            const engine = testEngine({ store: dying.store, clock: dying.clock, owner: dying.owner, ...options })
            await dying.finish(engine.start(plan, undefined as never, { runId: 'r' }))
            clock.advance(60_000)
          }
          const engine = testEngine({ store: shared, clock, ...options })

          const outcome = await engine.start(plan, undefined as never, { runId: 'r' })

          expect(outcome.status).toBe(whole.outcome.status)
          expect(await artifactsOf(engine, 'r')).toEqual(whole.artifacts)
          const { states } = await engine.status('r')
          expect(states.map(({ status }) => status)).toEqual(whole.status.states.map(({ status }) => status))
          expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
        },
      ),
      { numRuns: 25 },
    )
  },
)

test('progress, followed from the first event, ends with what the view says', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(failing, async (all) => {
      const { engine, status } = await runOf(all, 4)
      const last = new Map<string, unknown>()
      let done = 0

      for await (const step of engine.progress('r')) {
        for (const view of step.changed) last.set(view.id, view)
        done = step.done
      }

      expect(status.states.map(({ id }) => last.get(id))).toEqual(status.states)
      expect(done).toBe(status.done)
    }),
    { numRuns: 25 },
  )
})

test(
  'progress says of every event what the status says there, and never counts back',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(failing, fc.integer({ min: 1, max: 4 }), async (all, many) => {
        const { engine } = await runOf(all, many)
        const manifest = await engine.manifest('r')
        const record = emptyRecord('r')
        const tracker = new ProgressTracker('r', manifest)
        const views = new Map<string, StateView>()
        let done = 0

        for await (const event of engine.kernel.events('r')) {
          recordEvent(record, event)
          const step = tracker.take(event)
          for (const view of step?.changed ?? []) views.set(view.id, view)

          const status = planStatus(record, manifest)
          expect(JSON.stringify(status.states.map(({ id }) => views.get(id)))).toBe(JSON.stringify(status.states))
          expect(step?.done ?? status.done).toBe(status.done)
          expect(status.done).toBeGreaterThanOrEqual(done)
          done = status.done
        }
      }),
      { numRuns: 25 },
    )
  },
)

test('a replay of every run makes the same, and a fork of it takes everything over', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(shapes, async (all) => {
      const { engine, ran, artifacts } = await runOf(all, 4)
      const before = ran.length

      const forked = await engine.fork('r', { as: 'f' })

      expect(ran).toHaveLength(before)
      expect(forked.status).toBe('completed')
      expect(await artifactsOf(engine, 'f')).toEqual(artifacts)
      expect(await engine.diff('r', 'f')).toMatchObject({ same: true })
      expect(await engine.replay('r')).toMatchObject({ ok: true })
    }),
    { numRuns: 15 },
  )
})
