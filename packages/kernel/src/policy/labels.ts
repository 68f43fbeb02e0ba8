import { checkId, isStoreError, type Json } from '@varve/store'
import { inDefinition, KernelError, textOf } from '../errors.ts'
import { copyJson } from '../log/copy-json.ts'
import type { AnyAction, Label } from '../workflow/action.ts'

/** What an action is a use of. */
export interface Labels {
  readonly tool?: string
  readonly provider?: string
}

/**
 * The labels of an action with this input.
 *
 * @param what - names the action in errors.
 * @throws KernelError `POLICY_FAILED` when a function for one throws, or answers no text of 1 to 200 characters.
 */
export function labelsOf({ tool, provider }: AnyAction, input: Json, what: string): Labels {
  return recordedLabels({
    tool: labelOf(tool, input, `the tool of ${what}`),
    provider: labelOf(provider, input, `the provider of ${what}`),
  })
}

/** The labels of an action whatever its input is; undefined where they depend on it. */
export function fixedLabelsOf({ tool, provider }: AnyAction): Labels | undefined {
  return typeof tool === 'function' || typeof provider === 'function' ? undefined : recordedLabels({ tool, provider })
}

/** Labels without what is undefined. */
export function recordedLabels({ tool, provider }: { [L in keyof Labels]: string | undefined }): Labels {
  return { ...(tool !== undefined && { tool }), ...(provider !== undefined && { provider }) }
}

function labelOf(label: Label | undefined, input: Json, what: string): string | undefined {
  if (typeof label !== 'function') return label
  try {
    // A copy: what the function does to it must not be recorded.
    const answer: string | undefined = label(copyJson(input) as never)
    if (answer !== undefined) checkId(what, answer)
    return answer
  } catch (cause) {
    const text = isStoreError(cause) ? cause.message : `${what} threw: ${textOf(cause)}`
    throw new KernelError('POLICY_FAILED', `${text}; answer a text or undefined`, { cause })
  }
}

/** @throws KernelError `INVALID_DEFINITION` for a label that is neither text nor function. */
export function checkLabels(action: AnyAction, what: string): void {
  for (const name of ['tool', 'provider'] as const) {
    const label: unknown = action[name]
    if (label === undefined || typeof label === 'function') continue
    inDefinition(() => {
      checkId(`the ${name} of ${what}`, label)
    })
  }
}
