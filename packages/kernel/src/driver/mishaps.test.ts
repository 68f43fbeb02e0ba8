import { StoreError, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel, type Kernel } from '../kernel/kernel.ts'
import { processOwner } from '../owner.ts'
import { ActionError } from '../policy/action-error.ts'
import { retryWithBackoff } from '../policy/retry.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { manualClock, settled } from '../testing/manual-clock.ts'
import { typesOf } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'

/** Calls one action and ends with its output. */
function calling(run: () => unknown) {
  return defineWorkflow(
    { name: 'calling', version: '1', input: z.unknown(), actions: { call: { run } } },
    {
      step: ({ results }, next) => {
        const called = results['call']
        return called?.status === 'succeeded' ? next.complete(called.output) : next.run('call')
      },
    },
  )
}

/** A store whose appends pass through `append`. */
function withAppend(data: Store, append: Store['events']['append']): Store {
  return { ...data, events: { ...data.events, append } }
}

const lost = (): StoreError => new StoreError('UNKNOWN_OUTCOME', 'the answer was lost on purpose')

describe('a step that fails after it has decided something in the same turn', () => {
  test('loses no result: it is recorded once, and not asked for again by mended code', async () => {
    let calls = 0
    const counting = (fails: boolean) =>
      defineWorkflow(
        {
          ...{ name: 'counting', version: '1', input: z.null(), events: { counted: z.number() } },
          actions: { call: { run: () => ++calls } },
          initialState: () => ({ called: false, counted: 0 }),
        },
        {
          reduce: (state, event) => {
            if (event.type === 'ActionSucceeded') return { ...state, called: true }
            return event.type === 'DomainEvent' ? { ...state, counted: event.data.payload } : state
          },
          step: ({ called, counted }, next) => {
            if (!called) return next.run('call')
            if (counted === 0) return next.emit({ type: 'DomainEvent', name: 'counted', payload: 1 })
            if (fails) throw new Error('half-way')
            return next.complete(counted)
          },
        },
      )
    const store = memoryStore()
    const broken = counting(true)

    const starting = createKernel({ store, workflows: [broken] }).start(broken, null, { runId: 'r' })
    await expect(starting).rejects.toMatchObject(kernelError('STEP_FAILED'))
    const types = await typesOf(store, 'r')
    const outcome = await createKernel({ store, workflows: [counting(false)] }).run('r')

    expect(types).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded'])
    expect(outcome).toMatchObject({ status: 'completed', output: 1 })
    expect(calls).toBe(1)
  })
})

describe('a start whose answer is lost', () => {
  test('is refused when somebody else created that run with another input meanwhile', async () => {
    const workflow = calling(() => 'called')
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    let appends = 0
    const store = withAppend(data, async (...args) => {
      if (++appends > 1) return data.events.append(...args)
      await createKernel({ store: data, workflows: [workflow], clock }).start(workflow, 'theirs', { runId: 'r' })
      throw lost()
    })

    const starting = createKernel({ store, workflows: [workflow], clock }).start(workflow, 'ours', { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('RUN_EXISTS'))
  })

  test('is settled although the store cannot be read at first', async () => {
    const workflow = calling(() => 'called')
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    let appends = 0
    let reads = 0
    const landed = withAppend(data, async (...args) => {
      const answer = await data.events.append(...args)
      if (++appends === 1) throw lost()
      return answer
    })
    const read: Store['events']['read'] = (...args) => {
      if (++reads === 1) throw new StoreError('STORE_UNREACHABLE', 'away', { retryable: true })
      return data.events.read(...args)
    }
    const store = { ...landed, events: { ...landed.events, read } }
    const starting = createKernel({ store, workflows: [workflow], clock }).start(workflow, null, { runId: 'r' })

    await settled()
    await clock.advance(1000)

    expect(await starting).toMatchObject({ status: 'completed', output: 'called' })
    expect(reads).toBeGreaterThan(1)
    expect(await typesOf(data, 'r')).toEqual(['RunStarted', 'ActionRequested', 'ActionSucceeded', 'Completed'])
  })
})

describe('a kernel that is disposed while an append is under way', () => {
  test('starts no handler afterwards', async () => {
    let calls = 0
    const workflow = calling(() => ++calls)
    const data = memoryStore()
    let disposing: PromiseLike<void> | undefined
    const held: { kernel?: Kernel } = {}
    const store = withAppend(data, async (...args) => {
      const answer = await data.events.append(...args)
      disposing ??= held.kernel?.[Symbol.asyncDispose]()
      return answer
    })
    held.kernel = createKernel({ store, workflows: [workflow] })

    const starting = held.kernel.start(workflow, null, { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('KERNEL_CLOSED'))
    await disposing
    expect(calls).toBe(0)
    expect(await data.runs.find('r')).not.toHaveProperty('lease')
  })
})

/** Some process has taken the run, and died before it did anything: whoever takes it next has nothing to append. */
async function leftUnderLease({ runs }: Store, clock: ReturnType<typeof manualClock>): Promise<void> {
  await runs.acquire('r', { owner: processOwner(), leaseMs: 1 })
  await clock.advance(1)
}

describe('a run that was taken and ended elsewhere right before its driver, who had nothing to do, gives it back', () => {
  test('is told as it stands, not as the driver knew it', async () => {
    const asking = defineWorkflow(
      { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.string() } } },
      { step: ({ results }, next) => (results['ask'] ? next.complete('answered') : next.interrupt('ask', null)) },
    )
    const clock = manualClock()
    const data = memoryStore({ now: clock.now })
    let taken = false
    const store: Store = {
      ...data,
      runs: {
        ...data.runs,
        release: async (claim, request) => {
          if (taken) return data.runs.release(claim, request)
          taken = true
          const theirs = await data.runs.acquire('r', { owner: processOwner(), leaseMs: 1000, takeover: claim.token })
          await data.runs.release(theirs, { expectedHead: claim.head })
          await createKernel({ store: data, workflows: [asking], clock }).resume('r', { key: 'ask', value: 'yes' })
          return data.runs.release(claim, request)
        },
      },
    }

    const kernel = createKernel({ store, workflows: [asking], clock })
    await kernel.start(asking, null, { runId: 'r' })
    await leftUnderLease(data, clock)

    expect(await kernel.run('r')).toMatchObject({ status: 'completed', output: 'answered' })
    expect(taken).toBe(true)
  })
})

describe('a store that calls a run due before its time has come by what is known of its clock', () => {
  test('makes no driver take and give back a run again and again, and nothing happen early', async () => {
    const clock = manualClock()
    let aheadMs = 0
    const data = memoryStore({ now: () => clock.now() + aheadMs })
    let releases = 0
    const release: Store['runs']['release'] = async (...args) => {
      // Ends what would otherwise go round for ever, and leave no turn to the test's own timeout.
      if (++releases > 20) throw new Error('given back again and again')
      aheadMs = 10_000
      const outcome = await data.runs.release(...args)
      aheadMs = 0
      return outcome
    }
    const store = { ...data, runs: { ...data.runs, release } }
    let calls = 0
    const shaky = calling(() => {
      if (++calls === 1) throw new ActionError('transient', 'not yet')
      return 'called'
    })
    const policy = retryWithBackoff({ maxAttempts: 2, baseMs: 8000, jitter: 'none' })
    const kernel = createKernel({ store, workflows: [shaky], policy, clock })

    await kernel.start(shaky, null, { runId: 'r' })
    await leftUnderLease(data, clock)
    const outcome = await kernel.run('r')
    const releasesOfTheBlock = releases
    const callsOfTheBlock = calls
    await clock.advance(8000)

    expect(outcome).toMatchObject({ status: 'blocked' })
    expect(releasesOfTheBlock).toBe(2)
    expect(callsOfTheBlock).toBe(1)
    expect(await kernel.get('r')).toMatchObject({ status: 'completed' })
  })
})

describe('a kernel that is disposed while a snapshot is being written', () => {
  test('waits for it', async () => {
    const data = memoryStore()
    const written = Promise.withResolvers<undefined>()
    const saved: number[] = []
    const save: Store['snapshots']['save'] = async (snapshot) => {
      await written.promise
      await data.snapshots.save(snapshot)
      saved.push(snapshot.seq)
    }
    const store = { ...data, snapshots: { ...data.snapshots, save } }
    const long = defineWorkflow(
      {
        ...{ name: 'long', version: '1', input: z.null(), initialState: () => ({ n: 0 }) },
        actions: { wait: { run: () => new Promise<null>(() => undefined) } },
      },
      {
        reduce: (state, event) => (event.type === 'StateUpdated' ? { n: state.n + 1 } : state),
        step: ({ n }, next) => (n < 800 ? next.emit({ type: 'StateUpdated', payload: null }) : next.run('wait')),
      },
    )
    const kernel = createKernel({ store, workflows: [long] })
    const starting = kernel.start(long, null, { runId: 'r' })
    starting.catch(() => undefined)
    await settled()

    const disposing = Promise.resolve(kernel[Symbol.asyncDispose]())
    await settled()
    const savedBefore = saved.length
    written.resolve(undefined)
    await disposing

    expect(savedBefore).toBe(0)
    expect(saved.length).toBeGreaterThan(0)
  })
})

describe('a policy that answers no denial', () => {
  test.for<[string, unknown]>([
    ['a promise', Promise.resolve(undefined)],
    ['no reason', { policy: 'p' }],
    ['true', true],
  ])('but %s is POLICY_FAILED, and nothing is written', async ([, answer]) => {
    const workflow = calling(() => 'called')
    const store = memoryStore()
    const policy = { name: 'loose', authorize: () => answer as never }

    const starting = createKernel({ store, workflows: [workflow], policy }).start(workflow, null, { runId: 'r' })

    await expect(starting).rejects.toMatchObject(kernelError('POLICY_FAILED'))
    expect(await store.runs.find('r')).toBeUndefined()
  })

  test('but one with more in it leaves a log that can be read', async () => {
    const workflow = calling(() => 'called')
    const denial = { policy: 'p', reason: 'r', ticket: 7 }
    const policy = { name: 'chatty', authorize: () => denial }
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow], policy })

    await kernel.start(workflow, null, { runId: 'r' })

    expect(await kernel.verify('r')).toMatchObject({ ok: true })
  })
})

describe('an answer that is overtaken by the end of its run', () => {
  test('is refused as one to a run that has ended', async () => {
    const asking = defineWorkflow(
      { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.string() } } },
      { step: ({ results }, next) => (results['ask'] ? next.complete('answered') : next.interrupt('ask', null)) },
    )
    const data = memoryStore()
    await createKernel({ store: data, workflows: [asking] }).start(asking, null, { runId: 'r' })
    const post: Store['inbox']['post'] = async (...args) => {
      await createKernel({ store: data, workflows: [asking] }).resume('r', { key: 'ask', value: 'theirs' })
      return data.inbox.post(...args)
    }
    const kernel = createKernel({ store: { ...data, inbox: { ...data.inbox, post } }, workflows: [asking] })

    const ours = kernel.resume('r', { key: 'ask', value: 'ours' })
    await expect(ours).rejects.toMatchObject(kernelError('RUN_TERMINAL'))
  })
})
