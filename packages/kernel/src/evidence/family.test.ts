import type { EventDraft, StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import { bundleOf, closed, linesOf } from '../testing/bundles.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { sealLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { parseBundleLine, type BundleLine, type RunFacts } from './bundle-line.ts'
import { verifyEvidence } from './verify-evidence.ts'

const leaf = defineWorkflow(
  { name: 'leaf', version: '1', input: z.string(), signals: { go: z.null() } },
  { step: ({ input }, next) => (input === 'waits' ? next.waitFor('go') : next.complete(input)) },
)

const top = defineWorkflow(
  { name: 'top', version: '1', input: z.null() },
  { step: (_, next) => next.all([next.child(leaf, 'waits', { key: 'a' }), next.child(leaf, 'true', { key: 'b' })]) },
)

/** A bundle of a run with two children, one of which has ended: its parts, and what is noted of it. */
async function bundleOfThree() {
  const clock = manualClock()
  const kernel = createKernel({ store: memoryStore({ now: clock.now }), workflows: [leaf, top], clock })
  await kernel.start(top, null, { runId: 'p' })
  const { head, hash } = await kernel.replay('p')
  const text = await bundleOf(kernel, 'p', { children: true })
  const lines = linesOf(text).map((line, i) => parseBundleLine(line.trimEnd(), i + 1))
  const starts = lines.flatMap(({ kind }, i) => (kind === 'run' ? [i] : []))
  const parts = starts.map((start, i) => lines.slice(start, starts[i + 1] ?? -1))
  const [p, a, b] = parts as [BundleLine[], BundleLine[], BundleLine[]]
  return {
    text,
    begin: [...lines.slice(0, starts[0]), ...p],
    a: logIn(a),
    b: logIn(b),
    noted: { head: { seq: head, hash } },
  }
}

interface Log {
  readonly facts: RunFacts
  readonly events: readonly StoredEvent[]
}

function logIn([run, ...events]: readonly BundleLine[]): Log {
  if (run?.kind !== 'run') throw new Error('a part begins with its run')
  return { facts: run.facts, events: events.flatMap((line) => (line.kind === 'event' ? [line.event] : [])) }
}

/** The lines of a log that was changed, with everything made to fit again. */
function forged({ facts, events }: Log, change: (drafts: EventDraft[]) => EventDraft[]): BundleLine[] {
  const drafts = events.map(({ type, body }) => ({ type, data: JSON.parse(body) as unknown }))
  const log = sealLog(facts.runId, change(drafts), events.at(-1)?.at)
  const { seq, hash } = log.at(-1)!
  return [
    { kind: 'run', facts: { ...facts, head: seq, hash } },
    ...log.map((event) => ({ kind: 'event' as const, event })),
  ]
}

test('a child whose end the noted log has recorded is verified, and the other one is not anchored', async () => {
  const { text, noted } = await bundleOfThree()

  const verified = await verifyEvidence(text, noted)

  expect(verified).toMatchObject({ ok: true, runs: [{}, { anchored: 'unanchored' }, { anchored: 'known-head' }] })
})

test.for([
  [
    'starts it, too',
    (b: string) => ({ type: 'ChildStarted', data: { key: 'x', childRunId: b, workflow: 'leaf', input: 'true' } }),
  ],
  ['goes on as it', (b: string) => ({ type: 'ContinuedAsNew', data: { newRunId: b, input: 'true' } })],
] as const)(
  'such a child is not exchanged by means of another one, which nobody has noted and which %s',
  async ([, lie]) => {
    const { begin, a, b, noted } = await bundleOfThree()
    const [first] = b.events
    const liar = forged(a, ([started]) => [started!, lie(b.facts.runId)])
    const changed = forged(b, (drafts) => [...drafts.slice(0, -1), { type: 'Completed', data: { output: 'false' } }])

    const verified = await verifyEvidence(closed([...begin, ...liar, ...changed]), noted)

    expect(first?.type).toBe('RunStarted')
    expect(verified).toMatchObject({ ok: false, code: 'CHILD_DIFFERS' })
  },
)

test('nor is it there once more when it was verified', async () => {
  const { begin, a, b, noted } = await bundleOfThree()
  const honest = forged(b, (drafts) => drafts)
  const started = {
    type: 'ChildStarted',
    data: { key: 'x', childRunId: b.facts.runId, workflow: 'leaf', input: 'true' },
  }
  const liar = forged(a, ([first]) => [first!, started])
  const changed = forged(b, (drafts) => [...drafts.slice(0, -1), { type: 'Completed', data: { output: 'false' } }])

  const verified = await verifyEvidence(closed([...begin, ...honest, ...liar, ...changed]), noted)

  expect(verified).toMatchObject({ ok: false, code: 'CHILD_DIFFERS' })
})
