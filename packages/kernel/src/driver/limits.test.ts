import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import type { Policy } from '../policy/policy.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { dataOf, runStarted, typesOf, writeLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import type { ActionContext } from '../workflow/action.ts'

const counting = defineWorkflow(
  { name: 'counting', version: '1', input: z.null(), actions: { call: { run: (n: number) => n } } },
  {
    step: ({ results }, next) =>
      next.run('call', Object.keys(results).length, { key: `${Object.keys(results).length}` }),
  },
)

describe('a run that grows beyond its limit', () => {
  test('keeps every result, and is parked with the remedy', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [counting], limits: { runEvents: 9 } })

    const running = kernel.start(counting, null, { runId: 'r' })

    await expect(running).rejects.toMatchObject(kernelError('LIMIT_EXCEEDED'))
    const requested = await dataOf(store, 'r', 'ActionRequested')
    expect(await dataOf(store, 'r', 'ActionSucceeded')).toHaveLength(requested.length)
    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'LIMIT_EXCEEDED' } })
  })

  test('because its policy never gives up is parked, too', async () => {
    const store = memoryStore()
    let calls = 0
    const busy = (): null => {
      calls++
      throw new ActionError('rate-limited', 'slow down', { retryAfterMs: 0 })
    }
    const insisting = defineWorkflow(
      { name: 'insisting', version: '1', input: z.null(), actions: { call: { run: busy } } },
      { step: ({ results }, next) => (results['call'] ? next.complete(null) : next.run('call')) },
    )
    const policy: Policy = { name: 'stubborn', retryInMs: () => 0 }
    const kernel = createKernel({ store, workflows: [insisting], policy, limits: { runEvents: 40 } })

    const running = kernel.start(insisting, null, { runId: 'r' })

    await expect(running).rejects.toMatchObject(kernelError('LIMIT_EXCEEDED'))
    expect(calls).toBeLessThanOrEqual(20)
  })

  test('goes on when the limit is raised', async () => {
    const store = memoryStore()
    const start = createKernel({ store, workflows: [counting], limits: { runEvents: 9 } })
    await start.start(counting, null, { runId: 'r' }).catch(() => undefined)
    const before = await dataOf(store, 'r', 'ActionSucceeded')

    const more = createKernel({ store, workflows: [counting], limits: { runEvents: 19 } })
    await more.run('r').catch(() => undefined)

    expect((await dataOf(store, 'r', 'ActionSucceeded')).length).toBeGreaterThan(before.length)
  })
})

describe('a policy that fails', () => {
  const failing = defineWorkflow(
    {
      ...{ name: 'failing', version: '1', input: z.null() },
      actions: {
        call: {
          run: (): null => {
            throw new ActionError('transient', 'busy')
          },
        },
      },
    },
    { step: ({ results }, next) => (results['call'] ? next.complete('failed') : next.run('call')) },
  )
  const thrown = (): never => {
    throw new Error('no budget service')
  }

  test('at the first decision leaves no run behind', async () => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [failing], policy: { name: 'strict', authorize: thrown } })

    await expect(kernel.start(failing, null, { runId: 'r' })).rejects.toMatchObject(kernelError('POLICY_FAILED'))
    expect(await store.runs.find('r')).toBeUndefined()
  })

  test.for<[what: string, policy: Policy]>([
    ['that throws when it is asked for a retry', { name: 'strict', retryInMs: thrown }],
    ['that answers no number', { name: 'strict', retryInMs: () => Number.NaN }],
    ['that answers text', { name: 'strict', retryInMs: () => 'soon' as never }],
  ])('%s parks the run until it is mended', async ([, policy]) => {
    const store = memoryStore()
    const kernel = createKernel({ store, workflows: [failing], policy })

    await expect(kernel.start(failing, null, { runId: 'r' })).rejects.toMatchObject(kernelError('POLICY_FAILED'))

    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'POLICY_FAILED' } })
    expect(await createKernel({ store, workflows: [failing] }).run('r')).toMatchObject({ output: 'failed' })
  })

  test('when a run exists already parks it, with what it had', async () => {
    const store = memoryStore()
    await writeLog(store, 'r', [runStarted('failing')], { workflow: 'failing' })
    const kernel = createKernel({ store, workflows: [failing], policy: { name: 'strict', authorize: thrown } })

    await expect(kernel.run('r')).rejects.toMatchObject(kernelError('POLICY_FAILED'))

    expect(await typesOf(store, 'r')).toEqual(['RunStarted'])
    expect(await store.runs.find('r')).toMatchObject({ problem: { code: 'POLICY_FAILED' } })
  })
})

describe('a heartbeat', () => {
  function beating() {
    const clock = manualClock()
    const store = memoryStore({ now: clock.now })
    const gate = Promise.withResolvers<null>()
    const contexts: ActionContext[] = []
    const workflow = defineWorkflow(
      {
        ...{ name: 'beating', version: '1', input: z.null() },
        actions: {
          call: {
            timeoutMs: 1000,
            run: (_: null, ctx) => {
              contexts.push(ctx)
              return gate.promise
            },
          },
        },
      },
      { step: ({ results }, next) => (results['call'] ? next.complete(results['call']) : next.run('call')) },
    )
    const kernel = createKernel({ store, workflows: [workflow], clock })
    return { clock, gate, contexts, kernel, start: () => kernel.start(workflow, null, { runId: 'r' }) }
  }

  test('lets the timeout begin anew', async () => {
    const { clock, gate, contexts, start } = beating()
    const starting = start()
    await settled()

    for (let i = 0; i < 5; i++) {
      await clock.advance(999)
      void contexts[0]?.heartbeat()
    }
    gate.resolve(null)

    expect(await starting).toMatchObject({ output: { status: 'succeeded' } })
  })

  test('that does not come lets the attempt fail after the timeout, counted from the last one', async () => {
    const { clock, contexts, start } = beating()
    const starting = start()
    await settled()
    await clock.advance(600)
    void contexts[0]?.heartbeat()

    await clock.advance(999)
    const before = contexts[0]?.signal.aborted
    await clock.advance(1)

    expect(before).toBe(false)
    expect(await starting).toMatchObject({ output: { status: 'failed', error: { code: 'TIMEOUT' } } })
  })

  test('after the end of the attempt does nothing', async () => {
    const { clock, gate, contexts, start } = beating()
    const starting = start()
    await settled()
    gate.resolve(null)
    await starting

    void contexts[0]?.heartbeat()

    expect(clock.pending).toBe(0)
    expect(contexts[0]?.signal.aborted).toBe(false)
  })

  test('is waited for no longer when the kernel is disposed', async () => {
    const { clock, kernel, contexts, start } = beating()
    start().catch(() => undefined)
    await settled()

    await kernel[Symbol.asyncDispose]()
    void contexts[0]?.heartbeat()

    expect(clock.pending).toBe(0)
  })
})

describe('code that has drifted', () => {
  /** Asks once, then answers; the recorded part asked otherwise. */
  const asked = (ask: string, first: 'ask' | 'call' | 'nothing' = 'ask') =>
    defineWorkflow(
      {
        ...{ name: 'drifting', version: '1', input: z.null() },
        interrupts: { ask: { ask: z.string(), answer: z.null() } },
        actions: { call: { run: () => null } },
      },
      {
        step: ({ results }, next) => {
          if (results['ask']) return next.complete(ask)
          if (first === 'nothing') return next.all([])
          if (first === 'call') return next.run('missing' as 'call')
          return next.all([next.interrupt('ask', ask), next.interrupt('ask', ask)])
        },
      },
    )

  test.for<[what: string, now: ReturnType<typeof asked>]>([
    ['asks otherwise', asked('new')],
    ['asks for what there is not', asked('new', 'call')],
    ['asks for nothing', asked('new', 'nothing')],
  ])('and %s goes on with a warning, if it may', async ([, now]) => {
    const store = memoryStore()
    const before = asked('old')
    await createKernel({ store, workflows: [before] }).start(before, null, { runId: 'r' })
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    const strict = createKernel({ store, workflows: [now], build: 'new' })
    const lenient = createKernel({ store, workflows: [now], build: 'new', onDrift: 'warn', onWarning })

    const answer = { id: 'p', type: 'Resumed', body: '{"key":"ask","value":null}' }
    await store.inbox.post('r', answer, { maxWaiting: 9 })
    const refused = strict.run('r')

    await expect(refused).rejects.toThrow()
    expect(await lenient.run('r')).toMatchObject({ status: 'completed', output: 'new' })
    expect(warnings).toHaveLength(1)
  })
})
