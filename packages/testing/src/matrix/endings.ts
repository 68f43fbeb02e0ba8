import type { Outcome } from '@varve/kernel'
import { shown } from '@varve/store'
import { invalid } from '../given.ts'
import type { AnyScenario } from './play-case.ts'
import type { Ending, EndedRun } from './scenario.ts'

const ENDINGS: readonly Ending[] = ['completed', 'failed', 'canceled', 'continued']

/**
 * What is wrong with how a run has ended, whatever it is compared with: what fails each time comes to the same, too.
 *
 * @throws TestingError `INVALID_SCENARIO` when the scenario says something else than an end.
 */
export function faultsOfEnding({ runId, workflow, outcome }: EndedRun, { ends }: Pick<AnyScenario, 'ends'>): string[] {
  if (ends === undefined) {
    const remedy = 'mend that, or say with `ends` that it has to'
    return outcome.status === 'failed' ? [`run ${runId} (${workflow}) ${textOf(outcome)}; ${remedy}`] : []
  }
  const expected: unknown = ends({ runId, workflow })
  if (expected === undefined || expected === outcome.status) return []
  const ending = ENDINGS.find((each) => each === expected)
  if (ending !== undefined) {
    return [`run ${runId} (${workflow}) ${textOf(outcome)}; it has to end as ${ending}, says \`ends\``]
  }
  throw invalid(`ends must answer ${ENDINGS.join(', ')} or undefined, got ${shown(expected)}`)
}

function textOf(outcome: Outcome): string {
  if (outcome.status !== 'failed') return `ended as ${outcome.status}`
  const { name, code, message } = outcome.error
  const named = [name, code].filter((part) => part !== undefined && !message.startsWith(part))
  return `failed: ${[...named, message].join(': ')}`
}
