import * as kernel from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { simulatedProcess, type Faults, type SimulatedProcess } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'

/** Pays for three things, each of which must not be paid for twice. */
function paying(process: SimulatedProcess, effects: string[]) {
  return kernel.defineWorkflow(
    {
      ...{ name: 'paying', version: '1', input: z.null() },
      actions: {
        pay: {
          effect: 'at-most-once',
          run: (n: number, ctx: kernel.ActionContext) => process.effect(() => effects.push(`${ctx.key} ${n}`)),
        },
      },
    },
    {
      step: ({ results }, next) => {
        for (const key of ['a', 'b', 'c']) if (!results[key]) return next.run('pay', 1, { key })
        return next.complete(Object.keys(results))
      },
    },
  )
}

/** Forks a run that has paid, with reuse: one process after the other, until one lives to see the end. */
async function tell(...lives: readonly Faults[]) {
  const clock = virtualClock()
  const store = memoryStore({ now: clock.now })
  const effects: string[] = []
  await live(simulatedProcess(store, clock), effects, (varve, workflow) => varve.start(workflow, null, { runId: 'r' }))
  const paid = effects.splice(0)
  let boundaries = 0
  for (let life = 0; life < 5; life++) {
    const process = simulatedProcess(store, clock, lives[life] ?? {})
    const outcome = await process.finish(
      live(process, effects, async (varve) => {
        if ((await varve.find('f')) !== undefined) return varve.run('f')
        return varve.fork('r', { at: 1, as: 'f', reuse: true })
      }),
    )
    boundaries = Math.max(boundaries, process.boundaries())
    if (outcome !== 'crashed') return { paid, effects, outcome, boundaries }
  }
  throw new Error('the story does not end')
}

async function live(
  process: SimulatedProcess,
  effects: string[],
  act: (varve: kernel.Kernel, workflow: ReturnType<typeof paying>) => Promise<kernel.Outcome>,
): Promise<kernel.Outcome> {
  const { store, clock, owner } = process
  const workflow = paying(process, effects)
  const varve = kernel.createKernel({ store, clock, owner, workflows: [workflow], onWarning: () => undefined })
  const outcome = await act(varve, workflow)
  expect(await varve.verify(outcome.runId)).toMatchObject({ ok: true })
  await varve[Symbol.asyncDispose]()
  return outcome
}

const output = ['a', 'b', 'c']

test('a fork with reuse pays for nothing again, wherever its process dies, and the next one', async () => {
  const { boundaries, paid } = await tell()
  expect(paid).toEqual(['a 1', 'b 1', 'c 1'])

  for (const second of [0, 3]) {
    for (let crashAt = 1; crashAt <= boundaries; crashAt++) {
      const { outcome, effects } = await tell({ crashAt }, { crashAt: second })

      expect(effects, `crash at ${crashAt} and ${second}`).toEqual([])
      expect(outcome, `crash at ${crashAt} and ${second}`).toMatchObject({ status: 'completed', output })
    }
  }
})

test('a fork with reuse pays for nothing again when the answer of any append is lost', async () => {
  for (let loseAppend = 1; loseAppend <= 3; loseAppend++) {
    const { outcome, effects } = await tell({ loseAppend })

    expect([outcome, effects], `lost answer ${loseAppend}`).toMatchObject([{ status: 'completed', output }, []])
  }
})
