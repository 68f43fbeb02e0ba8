import type { EventData } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import { askPolicy, denialOf } from '../policy/ask-policy.ts'
import { deniedError } from '../policy/denied-error.ts'
import { recordedLabels } from '../policy/labels.ts'
import type { Denial } from '../policy/policy.ts'
import { addUsage, spentAt } from '../run/counts.ts'
import type { System } from '../run/system.ts'
import type { Environment } from './environment.ts'
import type { Input } from './inputs.ts'

/**
 * An input of a turn, once the policy has had its say on retries. It is asked where the input is folded, and not where the
 * attempt failed: only there is known what the run has spent, with everything that came in before.
 *
 * @returns the input; that the action failed, in the place of a retry that the policy denies; undefined for the beginning of
 * an attempt that was denied so.
 * @throws KernelError `POLICY_FAILED`.
 */
export function afterVeto(env: Environment, system: System, workflow: string, input: Input): Input | undefined {
  const { draft, post } = input
  if (draft.type === 'ActionAttemptStarted' && post === undefined && !system.open.has(draft.data.key)) return undefined
  if (draft.type !== 'ActionAttemptFailed') return input
  const denial = vetoOf(env, system, workflow, draft.data)
  return denial === undefined ? input : { draft: vetoed(draft.data, denial) }
}

type Failure = EventData['ActionAttemptFailed']

function vetoOf({ policy }: Environment, system: System, workflow: string, failure: Failure): Denial | undefined {
  const { key, error, usage, retryAt } = failure
  const item = system.open.get(key)
  if (policy.authorizeRetry === undefined || item?.kind !== 'action') return undefined
  const { action, input, effect, failures } = item
  const spent = spentAt(system, retryAt)
  const retry = {
    ...{ runId: system.runId, workflow, key, action, input, effect, error, failures: failures + 1 },
    ...recordedLabels({ tool: item.tool, provider: item.provider }),
    spent: { ...spent, usage: addUsage(spent.usage, usage) },
    tags: system.started?.tags ?? [],
    canceling: system.cancel !== undefined,
  }
  return askPolicy(policy, () => denialOf(policy.authorizeRetry?.(retry), 'authorizeRetry'))
}

function vetoed({ key, attempt: attempts, error, usage }: Failure, denial: Denial): LogDraft {
  const { message, ...rest } = deniedError(denial)
  const final = { ...rest, message: `${message}; the last attempt failed: ${error.message}` }
  return { type: 'ActionFailed', data: { key, attempts, error: final, ...(usage !== undefined && { usage }) } }
}
