import type { ErrorInfo } from '../log/event-data.ts'
import type { LogDraft } from '../log/log-event.ts'
import { askPolicy, denialOf } from '../policy/ask-policy.ts'
import { deniedError } from '../policy/denied-error.ts'
import { recordedLabels } from '../policy/labels.ts'
import type { Denial, Spent } from '../policy/policy.ts'
import { addUsage, spentAt } from '../run/counts.ts'
import type { OpenAction } from '../run/item.ts'
import type { System } from '../run/system.ts'
import type { Environment } from './environment.ts'
import type { Input } from './inputs.ts'

/** Where an input is folded. */
export interface Folding {
  readonly system: System
  readonly workflow: string
  /** `at` of the event that it becomes. */
  readonly at: number
}

/**
 * An input of a turn, once the policy has had its say on retries: when one is granted, and again when it is due, for others
 * may have spent what was left. It is asked where the input is folded, and not where the attempt failed: only there is known
 * what the run has spent, with everything that came in before.
 *
 * @returns the input; that the action failed, in the place of a retry that the policy denies; undefined for the beginning of
 * an attempt that was denied so.
 * @throws KernelError `POLICY_FAILED`.
 */
export function afterVeto(env: Environment, folding: Folding, input: Input): Input | undefined {
  const { system, at } = folding
  const { draft, post } = input
  if (draft.type !== 'ActionAttemptFailed' && draft.type !== 'ActionAttemptStarted') return input
  const item = system.open.get(draft.data.key)
  if (draft.type === 'ActionAttemptStarted' && post === undefined && item === undefined) return undefined
  if (item?.kind !== 'action') return input
  if (draft.type === 'ActionAttemptFailed') {
    const { error, usage, retryAt } = draft.data
    const spent = spentAt(system, retryAt)
    const failed = { item, error, failures: item.failures + 1, usage }
    return vetoed(env, folding, failed, { ...spent, usage: addUsage(spent.usage, usage) }) ?? input
  }
  // What follows a crash, or a doubt that was settled, is no retry.
  const { failure: error, failures, retryAt } = item
  if (error === undefined || retryAt === undefined) return input
  const spent = spentAt(system, at)
  // It was counted when it was granted.
  return vetoed(env, folding, { item, error, failures }, { ...spent, attempts: spent.attempts - 1 }) ?? input
}

interface Failed {
  readonly item: OpenAction
  readonly error: ErrorInfo
  readonly failures: number
  readonly usage?: Spent['usage'] | undefined
}

function vetoed(env: Environment, folding: Folding, failed: Failed, spent: Spent): Input | undefined {
  const { item, error, usage } = failed
  const denial = denialOfRetry(env, folding, failed, spent)
  if (denial === undefined) return undefined
  const { message, ...rest } = deniedError(denial)
  const final = { ...rest, message: `${message}; the last attempt failed: ${error.message}` }
  const data = { key: item.key, attempts: item.attempt, error: final, ...(usage !== undefined && { usage }) }
  return { draft: { type: 'ActionFailed', data } satisfies LogDraft }
}

function denialOfRetry(
  { policy }: Environment,
  { system, workflow }: Folding,
  { item, error, failures }: Failed,
  spent: Spent,
): Denial | undefined {
  if (policy.authorizeRetry === undefined) return undefined
  const { key, action, request, effect } = item
  const retry = {
    ...{ runId: system.runId, workflow, key, action, input: request.input, effect, error, failures, spent },
    ...recordedLabels({ tool: item.tool, provider: item.provider }),
    tags: system.started?.tags ?? [],
    canceling: system.cancel !== undefined,
  }
  return askPolicy(policy, () => denialOf(policy.authorizeRetry?.(retry), 'authorizeRetry'))
}
