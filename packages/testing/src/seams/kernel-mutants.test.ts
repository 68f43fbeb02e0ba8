import * as kernel from '@varve/kernel'
import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { crashMatrixOf } from '../crash-matrix.ts'
import { simulatedProcess } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { StoreCall } from '../wrapped-store.ts'
import type { AnyScenario } from '../matrix/play-case.ts'
import { approvalScenario, approvalWorkflow, RUN_ID } from './approval.ts'
import { familyScenario, type KernelModule } from './family.ts'
import { loadMutant, type Mutation } from './kernel-mutant.ts'

/** What must hold of a kernel. @throws when it does not. */
type Promised = (kernel: KernelModule) => Promise<unknown>

/** Every crash and every lost answer, of a run with an approval and of a family of runs. */
const approvalSurvives: Promised = (module) =>
  survives(module, approvalScenario(module, memoryStore) as unknown as AnyScenario)
const familySurvives: Promised = (module) =>
  survives(module, familyScenario(module, 'completes', memoryStore) as unknown as AnyScenario)
/** A fact of one action is asked for again by its clean-up, which comes after the run was blocked and had a snapshot. */
const canceledFamilySurvives: Promised = (module) =>
  survives(module, familyScenario(module, 'is canceled', memoryStore) as unknown as AnyScenario)

function survives(module: KernelModule, scenario: AnyScenario): Promise<unknown> {
  return crashMatrixOf(scenario, { pairs: 'none', maxFailures: 1 }, module.createKernel)
}

/** A post that arrives while the driver lets go of the blocked run is taken by the driver that was about to let go. */
const takesWhatComesLate: Promised = async (module) => {
  const { varve, process, run } = lateApproval(module, ({ name, args }) => {
    const [, , options] = args as Parameters<Store['events']['append']>
    return name === 'events.append' && options.release === true
  })

  await completes(process.finish(run()))

  await varve[Symbol.asyncDispose]()
}

/** So is one that arrives while a driver who had nothing to append lets go of the run that it was left with. */
const takesWhatComesToARelease: Promised = async (module) => {
  const { varve, process, run, shared, clock } = lateApproval(module, ({ name }) => name === 'runs.release')
  await process.finish(run())
  await shared.runs.acquire(RUN_ID, { owner: { ...process.owner, id: 'dead' }, leaseMs: 1 })
  clock.advance(1)

  await completes(process.finish(varve.run(RUN_ID)))

  await varve[Symbol.asyncDispose]()
}

/** A run that asks for an approval, which comes right before a call of its store. */
function lateApproval(module: KernelModule, isCall: (call: StoreCall) => boolean) {
  const clock = virtualClock()
  const shared = memoryStore({ now: clock.now })
  const process = simulatedProcess(shared, clock, {
    onBoundary: async (_, call) => {
      if (call === undefined || !isCall(call)) return
      const post = { id: 'late', type: 'Resumed', body: JSON.stringify({ key: 'approve', value: true }) }
      await shared.inbox.post(RUN_ID, post, { maxWaiting: 10 }).catch(() => undefined)
    },
  })
  const { store, owner } = process
  const workflow = approvalWorkflow(module, (_, result) => Promise.resolve(result))
  const varve = module.createKernel({ store, clock: process.clock, owner, workflows: [workflow] })
  return { varve, process, shared, clock, run: () => varve.start(workflow, { base: 1 }, { runId: RUN_ID }) }
}

async function completes(running: Promise<'crashed' | { readonly status: string }>): Promise<void> {
  const outcome = await running
  if (outcome === 'crashed' || outcome.status !== 'completed') throw new Error('the run did not complete')
}

describe('the kernel keeps its promises', () => {
  test.for([
    { promise: 'what comes while a run is let go with its append is taken', holds: takesWhatComesLate },
    { promise: 'what comes while a run is released is taken', holds: takesWhatComesToARelease },
    { promise: 'a run with an approval survives', holds: approvalSurvives },
    { promise: 'a family of runs survives', holds: familySurvives },
    { promise: 'a family of runs that is canceled survives', holds: canceledFamilySurvives },
  ])('$promise', async ({ holds }) => {
    await expect(holds(kernel)).resolves.not.toThrow()
  })
})

const mutants: readonly (Mutation & {
  readonly name: string
  readonly breaks: Promised
  readonly because: RegExp
})[] = [
  {
    name: 'appends-again-after-a-lost-answer',
    breaks: approvalSurvives,
    because: /append:\d+:lost\n .*the attempts 2 were made, not 1/,
    file: 'driver/append.ts',
    find: 'const landed = await repeatable(env, () => whatLanded(env, runId, events, options.expectedHead))',
    replace: "const landed = 'nothing' as 'ours' | 'theirs' | 'nothing'",
  },
  {
    name: 'takes-a-run-for-given-back-that-it-has-to-keep',
    breaks: takesWhatComesLate,
    because: /did not complete$/,
    file: 'driver/append.ts',
    find: 'released: options.release === true && result.waiting === 0',
    replace: 'released: options.release === true',
  },
  {
    name: 'releases-without-comparing-head-and-inbox',
    breaks: takesWhatComesToARelease,
    because: /did not complete$/,
    file: 'driver/drive.ts',
    find: "if (outcome === 'released') return true",
    replace: 'if (outcome.length > 0) return true',
  },
  {
    name: 'starts-an-action-before-its-request-is-durable',
    breaks: approvalSurvives,
    because: /was called before its request was durable/,
    file: 'driver/drive.ts',
    find: '    const askedAt = this.#env.clock.monotonic()\n    try {\n      appended =',
    replace:
      '    const askedAt = this.#env.clock.monotonic()\n    this.#running.recorded(this.#fold.system, turn.log)\n' +
      '    if (this.#lease) this.#act()\n    try {\n      appended =',
  },
  {
    name: 'tries-an-at-most-once-action-again',
    breaks: familySurvives,
    because: /of pay \(pay, at-most-once\) the attempts 1,2 were made, not 1/,
    file: 'driver/inputs.ts',
    find: "if (item.effect === 'at-most-once') {",
    replace: "if ((item.effect as string) === 'never') {",
  },
  {
    name: 'forgets-what-a-run-owes',
    breaks: familySurvives,
    because: /the runs do not end|nothing moves on|owes/,
    file: 'driver/drive.ts',
    find: 'this.#fold.system, this.#claim?.owes ?? [])',
    replace: 'this.#fold.system, [])',
  },
  {
    name: 'gives-out-a-fact-before-it-is-durable',
    breaks: approvalSurvives,
    because: /was given the fact \["approval","(rate|fee|tax|look)".*\] before it was durable/,
    file: 'driver/fact-desk.ts',
    find: '    this.#answered.push(pending)',
    replace:
      '    for (const { resolve } of pending.waiting) resolve(pending.value ?? null)\n    this.#answered.push(pending)',
  },
  {
    name: 'forgets-the-facts-of-a-snapshot',
    breaks: canceledFamilySurvives,
    because: /the fact rate is recorded already/,
    file: 'run/snapshot-body.ts',
    find: 'if (saved.facts.length > 0) system.facts = new Map(saved.facts)',
    replace: '',
  },
  {
    name: 'keeps-the-facts-of-an-attempt-that-failed',
    breaks: approvalSurvives,
    because: /p2 was given the fact \["approval","look","p2"\] before it was durable/,
    file: 'run/system.ts',
    find: 'return { ...failed, attempting: false, failures',
    replace: 'return { ...rest, attempting: false, failures',
  },
]

describe('a kernel that', () => {
  test.for(mutants)('$name is caught', async ({ name, breaks, because, ...mutation }) => {
    const mutant = await loadMutant(name, mutation)

    await expect(breaks(mutant)).rejects.toThrow(because)
  })
})
