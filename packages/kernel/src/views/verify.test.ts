import { chainHash, defaultLimits, type Json, type StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { unguarded } from '../guard/guard.ts'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { goldenWorkflows, rich, runGolden, sum } from '../testing/golden.ts'
import { readLog, sealLog, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { defineWorkflow, type Workflow } from '../workflow/define-workflow.ts'
import { verifyLog } from './verify.ts'

const HOUR_MS = 3_600_000

const env = { limits: defaultLimits, guard: unguarded }

const verify = (workflow: Pick<Workflow, 'definition'>, runId: string, log: readonly StoredEvent[]) =>
  verifyLog(env, runId, workflow.definition, log)

/** The same events with other data in one of them, under a chain that fits. */
function edited(log: readonly StoredEvent[], seq: number, edit: (data: never) => object): StoredEvent[] {
  const drafts = log.map(({ seq: at, type, body }) => {
    const data = JSON.parse(body) as Json
    return { type, data: at === seq ? { ...(data as object), ...edit(data as never) } : data }
  })
  return sealLog(log[0]!.runId, drafts)
}

let sumLog: StoredEvent[]
let richLog: StoredEvent[]

beforeAll(async () => {
  const { store } = await runGolden()
  sumLog = await readLog(store, 'sum')
  richLog = await readLog(store, 'rich')
})

describe('verifying', () => {
  test('answers head and hash of a log that is as the code decides', async () => {
    const last = richLog.at(-1)!

    expect(await verify(rich, 'rich', richLog)).toEqual({ ok: true, runId: 'rich', head: last.seq, hash: last.hash })
  })

  test('says where recorded decisions and the code part first', async () => {
    const changed = edited(sumLog, 2, () => ({ input: [7, 1] }))

    expect(await verify(sum, 'sum', changed)).toMatchObject({
      ...{ ok: false, code: 'CODE_CHANGED', seq: 2 },
      divergence: {
        seq: 2,
        path: 'event.data.input[0]',
        recorded: { type: 'ActionRequested', data: { input: [7, 1] } },
        decided: { type: 'ActionRequested', data: { input: [0, 1] } },
      },
    })
  })

  test('says so when the code decides nothing where a decision was recorded', async () => {
    const idle = defineWorkflow(
      { name: 'sum', version: '1', input: z.any() },
      { step: (_, next) => next.complete(null) },
    )

    const verification = await verify(idle, 'sum', sumLog)

    expect(verification).toMatchObject({
      ...{ ok: false, code: 'CODE_CHANGED', seq: 2 },
      divergence: { path: 'event.data.action', decided: { type: 'Completed' } },
    })
  })

  test('notices that an output was edited and the chain sealed anew, by the decisions behind it', async () => {
    const seq = sumLog.find(({ type }) => type === 'ActionSucceeded')!.seq

    expect(
      await verify(
        sum,
        'sum',
        edited(sumLog, seq, () => ({ output: 9 })),
      ),
    ).toMatchObject({
      ok: false,
      code: 'CODE_CHANGED',
      seq: seq + 1,
    })
  })

  test.for<[string, (event: StoredEvent) => Partial<StoredEvent>]>([
    ['at another time than the rest of its turn', ({ at }) => ({ at: at + 1 })],
    ['in another spelling', ({ body }) => ({ body: body.replace(':', ': ') })],
  ])('notices a decision that was recorded %s under a chain that fits', async ([, change]) => {
    const twice = defineWorkflow(
      { name: 'twice', version: '1', input: z.null() },
      { step: (_, next) => next.all([next.sleep(HOUR_MS, { key: 'a' }), next.sleep(HOUR_MS, { key: 'b' })]) },
    )
    const store = memoryStore()
    await createKernel({ store, workflows: [twice] }).start(twice, null, { runId: 'r' })
    const log = (await readLog(store, 'r')).slice(0, 3)
    const last = { ...log[2]!, ...change(log[2]!) }
    const forged = [...log.slice(0, 2), { ...last, hash: chainHash(log[1]!.hash, last) }]

    expect(await verify(twice, 'r', log)).toMatchObject({ ok: true, head: 3 })
    expect(await verify(twice, 'r', forged)).toMatchObject({ ok: false, code: 'CODE_CHANGED', seq: 3 })
  })

  test.for([
    ['is no JSON', '{"key":', 'CORRUPT_LOG'],
    ['has another shape', '{"key":7}', 'INVALID_LOG'],
  ] as const)('refuses a decision that %s under a chain that fits', async ([, body, code]) => {
    const decision = { ...sumLog[1]!, body }
    const forged = [sumLog[0]!, { ...decision, hash: chainHash(sumLog[0]!.hash, decision) }]

    expect(await verify(sum, 'sum', forged)).toMatchObject({ ok: false, code, seq: 2 })
  })

  describe('requests with labels', () => {
    const labeled = (tool: string) =>
      defineWorkflow(
        {
          ...{ name: 'labeled', version: '1', input: z.null() },
          actions: { ask: { tool, provider: 'p', run: (_: string): null => null } },
        },
        {
          step: ({ results }, next) =>
            '"a"' in results ? next.complete(null) : next.run('ask', '"input":', { key: '"a"' }),
        },
      )
    const logOf = async (): Promise<StoredEvent[]> => {
      const store = memoryStore()
      const old = labeled('old')
      await createKernel({ store, workflows: [old] }).start(old, null, { runId: 'r' })
      return (await readLog(store, 'r')).slice(0, 2)
    }

    test('keep the labels that they were made with', async () => {
      expect(await verify(labeled('new'), 'r', await logOf())).toMatchObject({ ok: true, head: 2 })
    })

    test.for<[string, (body: string) => string]>([
      ['another input', (body) => body.replace('"input":"\\"', '"input":"x\\"')],
      ['labels in another order', (body) => body.replace(/("provider":"p"),("tool":"old")/, '$2,$1')],
      ['an unknown property behind them', (body) => body.replace('}', ',"z":1}')],
    ])('are refused with %s', async ([, change]) => {
      const [start, request] = (await logOf()) as [StoredEvent, StoredEvent]
      const other = { ...request, body: change(request.body) }
      expect(other.body).not.toBe(request.body)
      const forged = [start, { ...other, hash: chainHash(start.hash, other) }]

      expect(await verify(labeled('old'), 'r', forged)).toMatchObject({ ok: false, seq: 2 })
    })
  })

  test('refuses a log of another run', async () => {
    expect(await verify(sum, 'other', sumLog)).toMatchObject({ ok: false, code: 'CORRUPT_LOG' })
  })

  test('refuses the logs of any single change', async () => {
    const change = fc.record({
      at: fc.nat({ max: richLog.length - 1 }),
      field: fc.constantFrom('type', 'at', 'body', 'hash', 'seq', 'v'),
      position: fc.nat(),
      character: fc.constantFrom('0', 'a', '"', ' ', '}', 'é'),
      number: fc.integer(),
    })
    await fc.assert(
      fc.asyncProperty(change, async ({ at, field, position, character, number }) => {
        const event = richLog[at]!
        const old = event[field as keyof StoredEvent]
        const cut = position % String(old).length
        const text = String(old).slice(0, cut) + character + String(old).slice(cut + 1)
        const value = typeof old === 'number' ? number : text
        fc.pre(value !== old)
        const log = richLog.with(at, { ...event, [field]: value })

        expect((await verify(rich, 'rich', log)).ok).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  test('refuses every log that lacks an event, has one twice or has two in another order', async () => {
    for (let i = 0; i < richLog.length - 1; i++) {
      const [one, two] = [richLog[i]!, richLog[i + 1]!]
      for (const log of [richLog.toSpliced(i, 1), richLog.toSpliced(i, 0, one), richLog.toSpliced(i, 2, two, one)]) {
        expect(await verify(rich, 'rich', log)).toMatchObject({ ok: false, code: 'CORRUPT_LOG' })
      }
    }
  })

  test('refuses a log that was cut where the code goes on deciding', async () => {
    const log = richLog.slice(0, 3)

    expect(await verify(rich, 'rich', log)).toMatchObject({ ok: false, code: 'CODE_CHANGED', seq: 4 })
  })

  test('by run id answers the same, needs the workflow, and refuses a run that is not there', async () => {
    const { store, kernel } = await runGolden()
    const stranger = createKernel({ store, workflows: [] })

    const ids = ['sum', 'rich', 'parent', 'rich-fork']
    const verified = await Promise.all(ids.map((id) => kernel.verify(id)))

    expect(verified.map(({ ok }) => ok)).toEqual([true, true, true, true])
    await expect(stranger.verify('sum')).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
    await expect(kernel.verify('nobody')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  test('accepts a run that waits for an answer', async () => {
    const asking = defineWorkflow(
      { name: 'asking', version: '1', input: z.null(), interrupts: { ask: { ask: z.null(), answer: z.null() } } },
      { step: (_, next) => next.interrupt('ask', null) },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [asking] })
    const outcome = await kernel.start(asking, null, { runId: 'r' })

    expect(outcome.status).toBe('blocked')
    expect(await kernel.verify('r')).toMatchObject({ ok: true, head: 2 })
  })

  test('rejects where the store cannot be read, and gives no verdict', async () => {
    const { store } = await runGolden()
    const failing = recordCalls(store, [], (name) => {
      if (name === 'events.read') throw new Error('disk gone')
      return undefined
    })
    const kernel = createKernel({ store: failing, workflows: goldenWorkflows })

    await expect(kernel.verify('sum')).rejects.toThrow('disk gone')
  })

  test('by run id notices that the end of the log was lost', async () => {
    const { store } = await runGolden()
    const events: typeof store.events = {
      append: (...args) => store.events.append(...args),
      read: (runId) => store.events.read(runId, { to: 3 }),
    }
    const kernel = createKernel({ store: { ...store, events }, workflows: goldenWorkflows })

    expect(await kernel.verify('sum')).toMatchObject({ ok: false, code: 'CORRUPT_LOG', seq: 4 })
  })
})

test('a log that began without a start is verified, and its state told, with the state that it began with', async () => {
  const bare = defineWorkflow(
    {
      ...{ name: 'bare', version: '1', input: z.null(), initialState: () => ({ n: 0 }) },
      interrupts: { ask: { ask: z.number(), answer: z.null() } },
    },
    { reduce: (state) => state, step: ({ n }, next) => next.interrupt('ask', n) },
  )
  const store = memoryStore()
  await writeLog(store, 'r', [], { workflow: 'bare' })
  const kernel = createKernel({ store, workflows: [bare] })
  const initialState = { n: 5 }
  await kernel.run('r', { initialState })

  expect(await kernel.verify('r', { initialState })).toMatchObject({ ok: true, head: 1 })
  expect(await kernel.verify('r', { initialState: { n: 6 } })).toMatchObject({
    ok: false,
    code: 'CODE_CHANGED',
    seq: 1,
  })
  expect(await kernel.stateAt('r', 1, { initialState })).toMatchObject({ state: { n: 5 } })
})
