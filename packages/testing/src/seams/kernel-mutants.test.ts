import * as kernel from '@varve/kernel'
import { describe, expect, test } from 'vitest'
import { loadMutant, type Mutation } from './kernel-mutant.ts'
import { kernelScenarios, type NamedScenario } from './kernel-scenarios.ts'

const { lostAcknowledgement, postBeforeRelease, durableBeforeStart, paidOnce, debtsPaid } = kernelScenarios

describe('the kernel keeps its promises', () => {
  test.for(Object.values(kernelScenarios))('$name', async ({ run }) => {
    await expect(run(kernel)).resolves.toBeUndefined()
  })
})

const mutants: readonly (Mutation & {
  readonly name: string
  readonly fails: NamedScenario
  readonly because: RegExp
})[] = [
  {
    name: 'appends-again-after-a-lost-answer',
    fails: lostAcknowledgement,
    because: /^append \d: .*ActionAttemptAbandoned/,
    file: 'driver/append.ts',
    find: 'const landed = await repeatable(env, () => whatLanded(env, runId, events, options.expectedHead))',
    replace: "const landed = 'nothing' as 'ours' | 'theirs' | 'nothing'",
  },
  {
    name: 'releases-without-comparing-head-and-inbox',
    fails: postBeforeRelease,
    because: /^the run is blocked$/,
    file: 'driver/drive.ts',
    find: "if (outcome === 'released') return true",
    replace: 'if (outcome.length > 0) return true',
  },
  {
    name: 'starts-an-action-before-its-request-is-durable',
    fails: durableBeforeStart,
    because: /started too early$/,
    file: 'driver/drive.ts',
    find: '    const askedAt = this.#env.clock.monotonic()\n    try {\n      appended =',
    replace:
      '    const askedAt = this.#env.clock.monotonic()\n    if (this.#lease) this.#act()\n    try {\n      appended =',
  },
  {
    name: 'tries-an-at-most-once-action-again',
    fails: paidOnce,
    because: /paid 2 times$/,
    file: 'driver/inputs.ts',
    find: "if (item.effect === 'at-most-once') {",
    replace: "if ((item.effect as string) === 'never') {",
  },
  {
    name: 'forgets-what-a-run-owes',
    fails: debtsPaid,
    because: /owes/,
    file: 'driver/drive.ts',
    find: 'this.#fold.system, this.#claim?.owes ?? [])',
    replace: 'this.#fold.system, [])',
  },
]

describe('a kernel that', () => {
  test.for(mutants)('$name fails the scenario that is there for it', async ({ name, fails, because, ...mutation }) => {
    const mutant = await loadMutant(name, mutation)

    await expect(fails.run(mutant)).rejects.toThrow(because)
  })
})
