import type { LogEvent } from '@varve/kernel'
import type { Ask, Want } from '@varve/kernel/stepper'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalState } from '../definition/approval-state.ts'
import { mapState } from '../definition/map-state.ts'
import type { AnyPlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { namedState, planOf } from '../testing/simple-states.ts'
import { testEngine } from '../testing/test-engine.ts'
import { PlanStepper } from './plan-stepper.ts'

const squares = mapState({
  id: 'squares',
  needs: { a: 'a' },
  items: () => [1, 2, 3, 4, 5],
  key: (n) => `n${n}`,
  output: z.int(),
  concurrency: 2,
  run: ({ item }) => {
    if (item === 4) throw new Error('four')
    return item * item
  },
})
const plan = planOf([
  namedState('a'),
  namedState('b', ['a']),
  squares,
  approvalState({ id: 'ok', needs: { b: 'b' } }),
  namedState('c', ['ok', 'b']),
  namedState('d', ['squares']),
  defineState({ id: 'e', tags: ['x'], output: z.null(), run: () => null }),
  namedState('f', ['e']),
])

async function logOf(config: object): Promise<readonly LogEvent[]> {
  const engine = testEngine({ store: memoryStore(), config })
  await engine.start(plan, undefined as never, { runId: 'r' })
  await engine.approve('r', 'ok', { approved: true, by: 'ann' }).catch(() => undefined)
  return Array.fromAsync(engine.kernel.events('r'))
}

/** What is open and known after these events, as the kernel tells it. */
function askAfter(events: readonly LogEvent[]): Ask {
  const known = new Set<string>()
  const open = new Set<string>()
  for (const { type, data } of events) {
    const { key } = data as { readonly key?: string }
    if (key === undefined) continue
    if (type === 'ActionRequested' || type === 'Interrupted') {
      known.add(key)
      open.add(key)
    }
    if (['ActionSucceeded', 'ActionFailed', 'Resumed'].includes(type)) open.delete(key)
  }
  const isKnown = (key: string): boolean => known.has(key)
  const isOpen = (key: string): boolean => open.has(key)
  return { now: 0, seed: 's', seq: events.length + 1, isOpen, isKnown, isUnderWay: isOpen, canceling: false }
}

function stepperAfter(events: readonly LogEvent[], of: AnyPlan = plan): PlanStepper {
  const stepper = new PlanStepper(of.definition)
  for (const event of events) stepper.apply(event)
  return stepper
}

function wanted(stepper: PlanStepper, events: readonly LogEvent[]): Want {
  return stepper.want(askAfter(events))
}

describe('what a plan wants', () => {
  test.for([
    { maxConcurrency: 1, onFailure: 'keep-going' },
    { maxConcurrency: 4, onFailure: 'keep-going', skipTags: ['x'] },
    { maxConcurrency: 16, onFailure: 'fail-fast' },
  ])('is the same from a state that was kept after any prefix and continued: %o', async (config) => {
    const log = await logOf(config)

    fc.assert(
      fc.property(fc.nat(log.length), fc.nat(log.length), (a, b) => {
        const [cut, end] = [Math.min(a, b), Math.max(a, b)]
        const whole = stepperAfter(log.slice(0, end))
        const continued = new PlanStepper(plan.definition)
        continued.load(JSON.parse(JSON.stringify(stepperAfter(log.slice(0, cut)).hold()())) as never)
        for (const event of log.slice(cut, end)) continued.apply(event)
        if (end === 0) return

        expect(wanted(continued, log.slice(0, end))).toEqual(wanted(whole, log.slice(0, end)))
        expect(continued.hold()()).toEqual(whole.hold()())
      }),
    )
  })

  test('does not depend on how often it was asked', async () => {
    const log = await logOf({ maxConcurrency: 2, onFailure: 'keep-going' })
    const asked = new PlanStepper(plan.definition)

    for (const [at, event] of log.entries()) {
      asked.apply(event)
      const events = log.slice(0, at + 1)
      wanted(asked, events)
      expect(wanted(asked, events)).toEqual(wanted(stepperAfter(events), events))
    }
  })

  test('held before an event is kept as it was then', async () => {
    const log = await logOf({})
    const stepper = stepperAfter(log.slice(0, 3))
    const before = stepper.hold()
    const text = JSON.stringify(before())

    for (const event of log.slice(3)) stepper.apply(event)

    expect(JSON.stringify(before())).toBe(text)
  })

  test('of another plan than the run was started with is refused', async () => {
    const log = await logOf({})

    expect(() => stepperAfter(log, planOf([namedState('a')]))).toThrow(/CODE_CHANGED/)
  })
})
