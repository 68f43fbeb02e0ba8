import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

const MINUTE = 60_000
const DAY = 1440 * MINUTE

/** Sleeps for a day. */
const nap = defineWorkflow(
  { name: 'nap', version: '1', input: z.null() },
  { step: ({ results }, next) => (results['sleep'] ? next.complete('awake') : next.sleep(DAY)) },
)

/** Waits a day at the most for a signal, while an action is under way that does not end. */
const patient = defineWorkflow(
  {
    ...{ name: 'patient', version: '1', input: z.null(), signals: { go: z.null() } },
    actions: { work: { run: () => new Promise<null>(() => undefined) } },
  },
  {
    step: ({ results }, next) =>
      results['go']
        ? next.complete('gone')
        : next.all([next.run('work'), next.waitFor('go', { key: 'go', timeoutMs: DAY })]),
  },
)

/** Clocks of the store and of the machine that are set by as much as is said; the machine's timers go on as before. */
function setup() {
  const clock = manualClock()
  const byMs = { store: 0, machine: 0 }
  const data = memoryStore({ now: () => clock.now() + byMs.store })
  const own = { ...clock, now: () => clock.now() + byMs.machine }
  const tells = { now: () => data.now() }
  const store = { ...data, now: () => tells.now() }
  const kernel = createKernel({ store, clock: own, workflows: [nap, patient] })
  const statusOf = async (runId: string) => (await data.runs.find(runId))?.status
  return { clock, byMs, tells, kernel, statusOf }
}

test.for([
  ['whose machine slept', { store: 2 * DAY, machine: 2 * DAY }],
  ['when the clock of the store is set', { store: 2 * DAY, machine: 0 }],
] as const)('a run that its time passed %s is woken up within minutes', async ([, set]) => {
  const { clock, byMs, kernel, statusOf } = setup()
  await kernel.start(nap, null, { runId: 'r' })

  Object.assign(byMs, set)
  await clock.advance(10 * MINUTE)

  expect(await statusOf('r')).toBe('completed')
})

test('a wait beside an action that is under way is over within minutes when the clock of the store passed its time', async () => {
  const { clock, byMs, kernel, statusOf } = setup()
  void kernel.start(patient, null, { runId: 'r' })
  await clock.advance(MINUTE)

  byMs.store = 2 * DAY
  await clock.advance(11 * MINUTE)

  expect(await statusOf('r')).toBe('completed')
})

test('a run is not woken up before its time when the clock of the store is set back', async () => {
  const { clock, byMs, kernel, statusOf } = setup()
  await kernel.start(nap, null, { runId: 'r' })

  byMs.store = -DAY
  await clock.advance(2 * DAY - MINUTE)
  const before = await statusOf('r')
  await clock.advance(2 * MINUTE)

  expect([before, await statusOf('r')]).toEqual(['blocked', 'completed'])
})

test('a run is woken up at its time to the millisecond where no clock is set', async () => {
  const { clock, kernel, statusOf } = setup()
  await kernel.start(nap, null, { runId: 'r' })

  await clock.advance(DAY - 1)
  const before = await statusOf('r')
  await clock.advance(1)

  expect([before, await statusOf('r')]).toEqual(['blocked', 'completed'])
})

test('a run is woken up at its time, and once, though the store has never answered what time it is', async () => {
  const { clock, tells, kernel, statusOf } = setup()
  const silence = Promise.withResolvers<number>()
  const answers = tells.now
  await kernel.start(nap, null, { runId: 'r' })

  tells.now = () => {
    tells.now = answers
    return silence.promise
  }
  await clock.advance(DAY)
  const asked = tells.now === answers
  const status = await statusOf('r')
  silence.resolve(clock.now())
  await settled()

  expect([asked, status, clock.pending]).toEqual([true, 'completed', 0])
})

test('nothing looks at the clock any more for a run whose kernel is disposed of', async () => {
  const { clock, kernel } = setup()
  await kernel.start(nap, null, { runId: 'r' })
  await clock.advance(3 * MINUTE)

  await kernel[Symbol.asyncDispose]()

  expect(clock.pending).toBe(0)
})
