import * as kernel from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { simulatedProcess, type Faults, type SimulatedProcess } from '../simulated-process.ts'
import { virtualClock, type VirtualClock } from '../virtual-clock.ts'

/** Acts, asks, acts again and completes with its version. */
function asking(version: string, process: SimulatedProcess, effects: string[]) {
  const act = (key: string) => process.effect(() => effects.push(key))
  return kernel.defineWorkflow(
    {
      ...{ name: 'asking', version, input: z.null() },
      interrupts: { ask: { ask: z.null(), answer: z.null() } },
      actions: { act: { run: (_: null, ctx: kernel.ActionContext) => act(ctx.key) } },
    },
    {
      step: ({ results }, next) => {
        if (!results['before']) return next.run('act', null, { key: 'before' })
        if (!results['ask']) return next.interrupt('ask', null)
        if (!results['after']) return next.run('act', null, { key: 'after' })
        return next.complete(version)
      },
    },
  )
}

interface Told {
  readonly outcome: kernel.Outcome
  readonly migrations: number
  readonly effects: readonly string[]
  readonly boundaries: number
  readonly verified: boolean
  readonly version: string
}

/** Starts a run, migrates it, answers it: one process after the other, until one lives to see the end. */
async function tell(...lives: readonly Faults[]): Promise<Told> {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const effects: string[] = []
  let boundaries = 0
  for (let life = 0; life < 5; life++) {
    const process = simulatedProcess(store, clock, lives[life] ?? {})
    const told = await process.finish(live(process, effects, { store, clock }))
    boundaries = Math.max(boundaries, process.boundaries())
    if (told !== 'crashed') return { ...told, effects, boundaries }
  }
  throw new Error('the story does not end')
}

async function live(process: SimulatedProcess, effects: string[], shared: { store: Store; clock: VirtualClock }) {
  const { store, clock, owner } = process
  const [first, second] = [asking('1', process, effects), asking('2', process, effects)]
  const options = { store, clock, owner, onWarning: () => undefined }
  const varve = kernel.createKernel({ ...options, workflows: [first, second] })
  if ((await varve.find('r'))?.version !== '2') await varve.start(first, null, { runId: 'r' })
  let outcome = await varve.migrate('r', { to: '2' })
  if (outcome.status === 'blocked') outcome = await varve.resume('r', { key: 'ask', value: null })
  const { ok: verified } = await varve.verify('r')
  const { version } = await varve.get('r')
  let migrations = 0
  for await (const { type } of shared.store.events.read('r')) if (type === 'Migrated') migrations++
  await varve[Symbol.asyncDispose]()
  return { outcome, migrations, verified, version }
}

const told = { migrations: 1, verified: true, version: '2', outcome: { status: 'completed', output: '2' } }

test('a run is migrated once, and does everything once, when nothing goes wrong', async () => {
  const story = await tell()

  expect(story).toMatchObject({ ...told, effects: ['before', 'after'] })
  expect(story.boundaries).toBeGreaterThan(20)
  expect(story.boundaries).toBeLessThan(60)
})

test.for([0, 5])(
  'a run is migrated once wherever its process dies, and the next one at boundary %i',
  async (second) => {
    for (let crashAt = 1; crashAt < 60; crashAt++) {
      const story = await tell({ crashAt }, { crashAt: second })

      expect(story, `crash at ${crashAt}`).toMatchObject(told)
      expect(new Set(story.effects), `crash at ${crashAt}`).toEqual(new Set(['before', 'after']))
    }
  },
)

test('a run is migrated once when the answer of any append is lost', async () => {
  for (let loseAppend = 1; loseAppend <= 6; loseAppend++) {
    expect(await tell({ loseAppend }), `lost answer ${loseAppend}`).toMatchObject({
      ...told,
      effects: ['before', 'after'],
    })
  }
})
