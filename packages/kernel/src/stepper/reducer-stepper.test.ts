import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import type { LogEvent } from '../log/log-event.ts'
import { readLog } from '../testing/sealed-log.ts'
import type { Decision, Requests } from '../workflow/decision.ts'
import { defineWorkflow, type StepContext } from '../workflow/define-workflow.ts'
import { next } from '../workflow/next.ts'
import type { ResultsState } from '../workflow/results-state.ts'
import { reducerStepper } from './reducer-stepper.ts'
import type { Ask, Stepper, Want } from './stepper.ts'

const DAY = 86_400_000

/** A run that goes to sleep so many times at once, and what its step was asked with. */
async function asleep(count: number, ms: (ctx: StepContext) => number) {
  let asked = 0
  const sleeping = defineWorkflow(
    { name: 'sleeping', version: '1', input: z.null() },
    {
      step: (_, next, ctx) => {
        asked++
        return next.all(Array.from({ length: count }, (_, i) => next.sleep(ms(ctx), { key: `${i}` })))
      },
    },
  )
  await using store = memoryStore()
  await using kernel = createKernel({ store, workflows: [sleeping] })
  await kernel.start(sleeping, null, { runId: 'run' })
  const timesAsked = asked
  await kernel.verify('run')
  return { timesAsked, toVerify: asked - timesAsked, opened: (await readLog(store, 'run')).length - 1 }
}

const bound = fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined })

/** What may be asked for: a group of groups, with bounds, where a key may stand more than once. */
const requests = fc
  .record({
    keys: fc.array(fc.nat(800), { minLength: 1, maxLength: 700, size: 'max' }),
    groups: fc.array(fc.record({ size: fc.integer({ min: 1, max: 400 }), bound }), { minLength: 1, maxLength: 5 }),
    bound,
  })
  .map(({ keys, groups, bound: all }) => {
    const left = keys.map((key) => next.sleep(DAY, { key: `${key}` }))
    return grouped([...groups.map(({ size, bound }) => grouped(left.splice(0, size), bound)), ...left], all)
  })

function grouped(parts: readonly Requests[], concurrency: number | undefined): Requests {
  return next.all(parts, concurrency === undefined ? {} : { concurrency })
}

function stepperOf(step: (state: unknown) => Decision): Stepper {
  const parts = { name: 'wide', version: '1', initialState: undefined, reduce: undefined, cancel: undefined }
  return reducerStepper({ ...parts, step }, (_, call) => call())
}

function keysOf(want: Want): { readonly known: ReadonlySet<string>; readonly fresh: readonly string[] } {
  if (want.kind !== 'requests') throw new Error(`this is no ${want.kind}`)
  return { known: new Set(want.known.map(({ key }) => key)), fresh: want.fresh.map(({ key }) => key) }
}

describe('a step', () => {
  test('is asked twice for what takes many turns to open, also by who verifies it', async () => {
    expect(await asleep(900, () => DAY)).toEqual({ timesAsked: 2, toVerify: 2, opened: 900 })
  })

  test.for<[string, (ctx: StepContext) => number]>([
    ['the time', ({ now }) => (now > 0 ? DAY : 0)],
    ['something random', ({ random }) => (random() < 1 ? DAY : 0)],
    ['an id', ({ uuid }) => DAY + uuid().length],
  ])('that looks at %s is asked in each of the turns', async ([, ms]) => {
    const { timesAsked, toVerify, opened } = await asleep(1900, ms)

    expect({ timesAsked, toVerify, opened }).toEqual({ timesAsked: 4, toVerify: 4, opened: 1900 })
  })

  test.for([
    [0, 100],
    [0, 500],
    [600, 999],
    [600, 1000],
    [600, 1001],
  ])('cannot ask for a key twice, as number %i and %i', async ([first, again]) => {
    const twice = defineWorkflow(
      { name: 'twice', version: '1', input: z.null() },
      {
        step: (_, next) => {
          const keys = Array.from({ length: 1900 }, (_, i) => (i === again ? first : i))
          return next.all(keys.map((key, i) => next.sleep(i === again ? 1 : DAY, { key: `${key}` })))
        },
      },
    )
    await using store = memoryStore()
    await using kernel = createKernel({ store, workflows: [twice] })

    await expect(kernel.start(twice, null, { runId: 'run' })).rejects.toMatchObject(kernelError('KEY_REUSED'))
  })

  test('is asked anew as soon as it sees something, however much of its answer is left', () => {
    const all = next.all(Array.from({ length: 900 }, (_, i) => next.sleep(DAY, { key: `${i}` })))
    const known = new Set(all.of.slice(0, 500).map((_, i) => `${i}`))
    const has = (key: string): boolean => known.has(key)
    const ask: Ask = { now: 0, seed: '', seq: 1, isOpen: has, isKnown: has, isUnderWay: has, canceling: false }
    const stepper = stepperOf((state) => {
      const { results } = state as ResultsState
      return results['0'] === undefined ? all : next.complete('enough')
    })

    expect([stepper.want(ask), stepper.want(ask)].map(({ kind }) => kind)).toEqual(['requests', 'requests'])
    expect(keysOf(stepper.want(ask)).fresh).toHaveLength(400)
    stepper.apply({ seq: 600, type: 'TimerFired', at: 0, data: { key: '0' }, hash: '' }, undefined)

    expect(stepper.want(ask)).toEqual({ kind: 'complete', output: 'enough' })
  })

  test.for([700, 769, 770, 1001])(
    'is asked for all of it again by a fork at seq %i, amid what was being opened',
    async (at) => {
      const sleeping = defineWorkflow(
        { name: 'sleeping', version: '1', input: z.null() },
        { step: (_, next) => next.all(Array.from({ length: 1000 }, (_, i) => next.sleep(DAY, { key: `${i}` }))) },
      )
      await using store = memoryStore()
      await using kernel = createKernel({ store, workflows: [sleeping] })
      await kernel.start(sleeping, null, { runId: 'run' })

      await kernel.fork('run', { at, as: 'fork' })

      const opened = (await readLog(store, 'fork')).slice(at + 1)
      expect(opened.map(({ body }) => (JSON.parse(body) as { key: string }).key)).toEqual(
        Array.from({ length: 1000 }, (_, i) => `${i}`),
      )
      expect(await kernel.verify('fork')).toMatchObject({ ok: true })
    },
  )

  test('is taken to want the rest of what it answered, as if it were asked anew', () => {
    const play = (answer: Requests, parts: readonly number[]): void => {
      const known = new Set<string>()
      const has = (key: string): boolean => known.has(key)
      const ask: Ask = { now: 0, seed: '', seq: 1, isOpen: has, isKnown: has, isUnderWay: has, canceling: false }
      const stepper = stepperOf(() => answer)
      for (let i = 0; ; i++) {
        const wanted = keysOf(stepper.want(ask))
        expect(wanted.fresh.filter((key) => !has(key))).toEqual(keysOf(stepperOf(() => answer).want(ask)).fresh)
        expect([...wanted.known].filter((key) => !has(key))).toEqual([])
        if (wanted.fresh.length === 0) return
        for (const key of wanted.fresh.slice(0, parts[i % parts.length])) known.add(key)
      }
    }

    const parts = fc.array(fc.integer({ min: 20, max: 500 }), { minLength: 1, maxLength: 4 })
    fc.assert(fc.property(requests, parts, play), { numRuns: 50, endOnFailure: true })
  })
})

test('what a stepper of a reducer ignores, no reducer sees', () => {
  const seen: string[] = []
  const reduce = (state: unknown, { type }: { readonly type: string }): unknown => {
    seen.push(type)
    return state
  }
  const parts = { name: 'looking', version: '1', initialState: undefined, cancel: undefined }
  const stepper = reducerStepper({ ...parts, reduce, step: () => next.complete(null) }, (_, call) => call())
  const told = (type: string): LogEvent =>
    ({ type, seq: 1, at: 0, data: { key: 'k' }, hash: '' }) as unknown as LogEvent

  for (const type of stepper.ignores ?? []) stepper.apply(told(type), undefined)
  stepper.apply(told('TimerFired'), undefined)

  expect([...(stepper.ignores ?? [])]).toContain('ActionRequested')
  expect(seen).toEqual(['TimerFired'])
})
