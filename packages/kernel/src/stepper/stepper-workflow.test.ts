import type { Json } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { dataOf } from '../testing/sealed-log.ts'
import { stepperWorkflow, type ItemRequest, type Stepper, type StepperSpec } from './index.ts'

/** Calls `double` for every number of its input, a few at once, and keeps only what it needs: sums, and where it stands. */
function adder(atOnce: number): Stepper {
  let state = { inputs: [] as readonly number[], asked: 0, open: 0, sum: 0 }
  return {
    apply: (event) => {
      if (event.type === 'RunStarted') state = { ...state, inputs: event.data.input as number[] }
      if (event.type === 'ActionRequested') state = { ...state, asked: state.asked + 1, open: state.open + 1 }
      if (event.type === 'ActionSucceeded') {
        state = { ...state, open: state.open - 1, sum: state.sum + (event.data.output as number) }
      }
    },
    want: () => {
      const { inputs, asked, open, sum } = state
      if (asked === inputs.length && open === 0) return { kind: 'complete', output: sum }
      const fresh = inputs.slice(asked, asked + atOnce - open).map((input, i): ItemRequest => {
        return { kind: 'action', key: `double:${asked + i}`, action: 'double', input }
      })
      return { kind: 'requests', known: [], fresh }
    },
    hold: () => {
      const held = state
      return () => held
    },
    load: (saved) => {
      state = saved as unknown as typeof state
    },
  }
}

const spec: StepperSpec = {
  ...{ name: 'adding', version: '1', input: z.array(z.number()), build: 'adder-1' },
  actions: { double: { run: (n: number) => 2 * n } },
  stepper: () => adder(3),
}

const adding = stepperWorkflow<readonly number[], number>(spec)

describe('a stepper of one’s own', () => {
  test('that decides what no log may hold is found by verifying, although it decides so again', async () => {
    const want: Stepper['want'] = () => ({ kind: 'continue', input: [], version: 5 as never })
    const odd = stepperWorkflow<readonly number[], number>({ ...spec, stepper: () => ({ ...adder(1), want }) })
    const kernel = createKernel({ store: memoryStore(), workflows: [odd], onWarning: () => undefined })
    await kernel.start(odd, [], { runId: 'r' }).catch(() => undefined)

    expect(await kernel.verify('r')).toMatchObject({ ok: false, code: 'INVALID_LOG', seq: 2 })
  })

  test('is driven, replayed and verified as a step function is', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [adding] })

    const outcome = await kernel.start(adding, [1, 2, 3, 4, 5], { runId: 'r' })

    expect(outcome).toEqual({ status: 'completed', runId: 'r', output: 30 })
    expect(await dataOf(store, 'r', 'ActionRequested')).toMatchObject([1, 2, 3, 4, 5].map((input) => ({ input })))
    expect(await kernel.verify('r')).toMatchObject({ ok: true })
    expect((await kernel.replay('r')).state).toMatchObject({ asked: 5, sum: 30 } satisfies Json)
  })

  test('goes on from its snapshot in the next process', async () => {
    const store = memoryStore()
    const input = Array.from({ length: 200 }, (_, n) => n)
    const blocking = (): Stepper => {
      const inner = adder(1)
      const want: Stepper['want'] = (ask) => {
        const wanted = inner.want(ask)
        if (wanted.kind !== 'complete' || ask.isKnown('ok')) return wanted
        return { kind: 'requests', known: [], fresh: [{ kind: 'wait', key: 'ok', signal: 'ok' }] }
      }
      return { ...inner, want }
    }
    let applied = 0
    const counting = (): Stepper => {
      const inner = blocking()
      return {
        ...inner,
        apply: (event, closed) => {
          applied++
          inner.apply(event, closed)
        },
      }
    }
    const waiting = stepperWorkflow<readonly number[], number>({
      ...spec,
      signals: { ok: z.null() },
      stepper: counting,
    })
    await createKernel({ store, workflows: [waiting] }).start(waiting, input, { runId: 'r' })
    const before = applied

    const outcome = await createKernel({ store, workflows: [waiting] }).signal('r', { name: 'ok', value: null })

    expect(outcome).toMatchObject({ status: 'completed', output: 200 * 199 })
    expect(before).toBeGreaterThan(400)
    expect(applied - before).toBeLessThan(10)
  })

  test('does not pay for all that went before with each of its 10,000 items', { timeout: 60_000 }, async () => {
    const calls = { applied: 0, asked: 0, held: 0, saved: 0 }
    const counted = (): Stepper => {
      const inner = adder(100)
      return {
        ...inner,
        apply: (event, closed) => {
          calls.applied++
          inner.apply(event, closed)
        },
        want: (ask) => {
          calls.asked++
          return inner.want(ask)
        },
        hold: () => {
          calls.held++
          const state = inner.hold()
          return () => {
            calls.saved++
            return state()
          }
        },
      }
    }
    let turns = 0
    const many = stepperWorkflow<readonly number[], number>({ ...spec, stepper: counted })
    const onTurn = (): void => {
      turns++
    }
    const kernel = createKernel({ store: memoryStore(), workflows: [many], observer: { onTurn } })

    const outcome = await kernel.start(many, Array<number>(10_000).fill(1), { runId: 'r' })

    expect(outcome).toMatchObject({ status: 'completed', output: 20_000 })
    const { head } = await kernel.get('r')
    expect(calls.applied).toBe(head)
    expect(calls.asked).toBeLessThanOrEqual(2 * turns)
    expect(calls.held).toBeLessThanOrEqual(turns + 1)
    // Snapshots stand in distances that grow with their size.
    expect(calls.saved).toBeLessThan(20)
  })

  test('that decides otherwise than recorded is found out', async () => {
    const store = memoryStore()
    await createKernel({ store, workflows: [adding] }).start(adding, [1, 2, 3, 4, 5], { runId: 'r' })

    const slower = stepperWorkflow({ ...spec, stepper: () => adder(1) })

    expect(await createKernel({ store, workflows: [slower] }).verify('r')).toMatchObject({
      ...{ ok: false, code: 'CODE_CHANGED' },
    })
  })

  test.for<[string, object, object]>([
    ['a part', { signal: {} }, kernelError('INVALID_DEFINITION')],
    ['a name', { name: '' }, kernelError('INVALID_DEFINITION')],
    ['a version', { version: '\n' }, kernelError('INVALID_DEFINITION')],
    ['an action', { actions: { '': { run: () => null } } }, kernelError('INVALID_DEFINITION')],
    ['a timeout', { actions: { a: { run: () => null, timeoutMs: 0 } } }, kernelError('INVALID_DEFINITION')],
  ])('is refused with %s that cannot work', ([, change, error]) => {
    expect(() => stepperWorkflow({ ...spec, ...change })).toThrow(expect.objectContaining(error))
  })
})
