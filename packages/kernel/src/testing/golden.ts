import { memoryStore } from '@varve/store-memory'
import { readdirSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { ActionError } from '../policy/action-error.ts'
import { budget } from '../policy/budget.ts'
import { allowList } from '../policy/policy.ts'
import { derivedRunId } from '../run/request-draft.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { manualClock, settled } from './manual-clock.ts'
import { readLog } from './sealed-log.ts'

/*
 * Workflows whose logs are kept in `golden/`. Neither they nor the logs may change any more: a release that does not verify
 * them could not go on with the runs of the release that wrote them.
 */

/** Adds up; the kernel's events of a plain sequence. */
export const sum = defineWorkflow(
  {
    name: 'sum',
    version: '1',
    input: z.array(z.number()),
    actions: { add: { run: (pair: number[]) => pair.reduce((a, b) => a + b, 0) } },
  },
  {
    step: ({ input, results }, next) => {
      let total = 0
      for (const [i, n] of input.entries()) {
        const result = results[`add:${i}`]
        if (result?.status !== 'succeeded') return next.run('add', [total, n], { key: `add:${i}` })
        total = result.output as number
      }
      return next.complete({ total })
    },
  },
)

/** Everything beside each other: retries, a denial, a timer, a signal, a question, events of its own, a failure. */
const richOf = (version: string) =>
  defineWorkflow(
    {
      ...{ name: 'rich', version, input: z.object({ id: z.string() }) },
      initialState: ({ id }) => ({ id, seen: [] as string[], noted: 0 }),
      events: { noted: z.object({ n: z.number() }) },
      signals: { paid: z.object({ cents: z.number() }) },
      interrupts: { approve: { ask: z.string(), answer: z.boolean() } },
      actions: {
        flaky: {
          retry: { maxAttempts: 3, baseMs: 0 },
          run: (_: null, { attempt }): string => {
            if (attempt < 2) throw new ActionError('transient', 'busy')
            return 'grün'
          },
        },
        broken: {
          run: (): null => {
            throw new ActionError('permanent', 'no', { code: 'NO' })
          },
        },
        forbidden: { run: () => null },
        once: { effect: 'at-most-once', run: () => ({ paid: true }) },
      },
    },
    {
      reduce: (state, event) => {
        if (event.type === 'DomainEvent') return { ...state, noted: event.data.payload.n }
        return 'key' in event.data ? { ...state, seen: [...state.seen, `${event.type} ${event.data.key}`] } : state
      },
      step: ({ id, seen, noted }, next) => {
        const has = (key: string): boolean => seen.some((text) => text.endsWith(` ${key}`))
        if (noted === 0) return next.emit({ type: 'DomainEvent', name: 'noted', payload: { n: 1 } })
        if (!['flaky', 'broken', 'forbidden', 'sleep'].every(has)) {
          return next.all([next.run('flaky'), next.run('broken'), next.run('forbidden'), next.sleep(1000)])
        }
        if (!has('paid')) return next.waitFor('paid', { timeoutMs: 60_000 })
        if (!has('approve')) return next.all([next.interrupt('approve', id), next.sleep(5e6, { key: 'late' })])
        if (!has('once')) return next.run('once')
        return next.complete({ seen, noted })
      },
    },
  )

export const rich = richOf('1')

/** Has a child, and goes on as a new run until it has counted down. */
export const parent = defineWorkflow(
  { name: 'parent', version: '1', input: z.number() },
  {
    step: ({ input, results }, next) => {
      const child = results['sum']
      if (child?.status !== 'succeeded') return next.child(sum, [input, 1])
      return input > 0 ? next.continueAsNew(input - 1) : next.complete(child.output)
    },
  },
)

/** Labeled and metered; goes on as new runs until the budget of all of them is spent. */
const metered = defineWorkflow(
  {
    ...{ name: 'metered', version: '1', input: z.number() },
    actions: {
      ask: {
        tool: 'llm',
        provider: (n: number) => (n === 0 ? 'acme' : undefined),
        retry: { maxAttempts: 3, baseMs: 0 },
        run: (_: number, { attempt, use }): string => {
          use({ tokens: 10, cents: 0.25 })
          if (attempt < 2) throw new ActionError('rate-limited', 'slow down', { retryAfterMs: 0 })
          return 'ok'
        },
      },
    },
  },
  {
    step: ({ input, results }, next) => {
      const asked = results['ask']
      if (asked === undefined) return next.run('ask', input)
      return asked.status === 'succeeded' ? next.continueAsNew(input + 1) : next.complete(asked)
    },
  },
)

/** The last run that `metered` goes on as. */
const LAST_METERED = derivedRunId(derivedRunId('metered', '\n'), '\n')

/** All of them. */
export const goldenWorkflows = [sum, rich, richOf('2'), parent, metered]

/** Where the logs are kept: plain histories, as `verifyHistories` takes them. */
export const goldenFolder = new URL('../../golden/', import.meta.url)

/** Runs all of them to their ends, in a store of their own. */
export async function runGolden() {
  const clock = manualClock()
  const store = memoryStore({ now: clock.now })
  let ids = 0
  const policy = allowList({ actions: ['add', 'flaky', 'broken', 'once'] })
  const options = { store, workflows: goldenWorkflows, clock, policy, newId: () => `id-${++ids}` }
  const kernel = createKernel({ ...options, onWarning: () => undefined })
  await kernel.start(sum, [1, 2, 3], { runId: 'sum', tags: ['golden'] })
  const rest = kernel.start(rich, { id: 'né' }, { runId: 'rich' })
  await settled()
  await clock.advance(1000)
  await rest
  await kernel.signal('rich', { name: 'paid', value: { cents: 5 }, id: 's', by: 'bank' })
  await kernel.resume('rich', { key: 'approve', value: true, by: 'ann' })
  await kernel.start(parent, 1, { runId: 'parent' })
  await settled()
  await kernel.fork('rich', { at: 4, as: 'rich-fork', wait: false })
  const frugal = createKernel({ ...options, policy: budget({ requests: 2 }) })
  await frugal.start(metered, 0, { runId: 'metered' })
  await settled()
  await kernel.fork('rich', { at: 4, as: 'rich-moved', version: '2', reuse: true, wait: false })
  const moved = kernel.run('rich-moved')
  await settled()
  await clock.advance(1000)
  await moved
  return { store, clock, kernel }
}

/** Writes the logs of this release that are not there yet. What is there stays as it is. */
export async function writeGolden(): Promise<void> {
  const { store } = await runGolden()
  const known = new Set(readdirSync(goldenFolder))
  for (const runId of ['sum', 'rich', 'parent', 'rich-fork', 'rich-moved', 'metered', LAST_METERED]) {
    const row = await store.runs.find(runId)
    const name = `${row?.workflow ?? ''}.${runId}.jsonl`
    if (known.has(name)) continue
    const lines = (await readLog(store, runId)).map((event) => `${JSON.stringify(event)}\n`)
    writeFileSync(new URL(name, goldenFolder), lines.join(''), { flag: 'wx' })
  }
}
