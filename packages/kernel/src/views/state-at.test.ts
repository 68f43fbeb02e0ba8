import { genesis } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { unguarded } from '../guard/guard.ts'
import { createKernel } from '../kernel/kernel.ts'
import { readLogEvent } from '../log/log-event.ts'
import { applyEvent } from '../run/run-fold.ts'
import { emptySystem } from '../run/system.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { rich, runGolden } from '../testing/golden.ts'
import { readLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

describe('the state at a seq', () => {
  test('is the fold of the events up to there, with snapshots or without', async () => {
    const { store, kernel } = await runGolden()
    const log = await readLog(store, 'rich')
    const execution = await Array.fromAsync(kernel.executionLog('rich'))

    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: log.length }), fc.boolean(), async (seq, pruned) => {
        if (pruned) await store.snapshots.prune('rich', { keep: 0 })
        let end = genesis('rich')
        const fold = { system: emptySystem('rich'), stepper: rich.definition.stepper(unguarded) }
        for (const stored of log.slice(0, seq)) {
          const event = readLogEvent(end, stored)
          end = { seq: event.seq, hash: event.hash }
          applyEvent(fold, event)
        }

        const { state, head, hash } = await kernel.stateAt('rich', seq)

        expect({ state, head, hash }).toEqual({ state: fold.stepper.hold()(), head: seq, hash: log[seq - 1]?.hash })
        expect(execution[seq - 1]?.seq).toBe(seq)
      }),
    )
  })

  test('is what the driver had, whatever it did', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer(), { maxLength: 6 }), async (input) => {
        const had = new Map<number, unknown>()
        const spec = {
          ...{ name: 'w', version: '1', input: z.array(z.number()) },
          actions: { add: { run: (n: number) => n } },
        }
        const workflow = defineWorkflow(
          { ...spec, initialState: () => ({ done: 0, sum: 0 }) },
          {
            reduce: (state, event) =>
              event.type === 'ActionSucceeded' ? { done: state.done + 1, sum: state.sum + event.data.output } : state,
            step: (state, next) => {
              had.set(state.done, state)
              if (state.done === input.length) return next.complete(state.sum)
              return next.run('add', input[state.done] ?? 0, { key: `add:${state.done}` })
            },
          },
        )
        const store = memoryStore()
        await createKernel({ store, workflows: [workflow] }).start(workflow, input, { runId: 'r' })
        const reader = createKernel({ store, workflows: [workflow] })

        // A run of so many actions has its start, two events of each, and its end.
        for (const [done, state] of [...had]) expect((await reader.stateAt('r', 1 + 2 * done)).state).toEqual(state)
        expect((await reader.replay('r')).state).toEqual(had.get(input.length))
        expect((await reader.get('r')).head).toBe(2 + 2 * input.length)
      }),
      { numRuns: 30 },
    )
  })

  test('at the head is that of a replay', async () => {
    const { kernel } = await runGolden()
    const { head } = await kernel.get('rich')

    expect(await kernel.stateAt('rich', head)).toEqual(await kernel.replay('rich'))
  })

  test.for([-1, 0.5, 999, Number.NaN])('%d is refused', async (seq) => {
    const { kernel } = await runGolden()

    await expect(kernel.stateAt('rich', seq)).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })

  test('of a run that is not there is refused', async () => {
    const { kernel } = await runGolden()

    await expect(kernel.stateAt('x', 1)).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })
})
