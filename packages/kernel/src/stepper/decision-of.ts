import { isCodedError, shown } from '@varve/store'
import { KernelError } from '../errors.ts'
import type { Decision, ItemRequest } from '../workflow/decision.ts'

/**
 * What a step answered, as a decision. A step written in JavaScript may answer anything, and what is no decision must
 * not reach the log, where nobody could read it.
 *
 * @throws KernelError `INVALID_STEP`.
 */
export function decisionOf(answer: unknown): Decision {
  try {
    return checked(answer)
  } catch (cause) {
    throw isCodedError(cause) ? cause : invalid('an object that cannot be read', cause)
  }
}

function checked(answer: unknown): Decision {
  if (!isObject(answer)) throw invalid(shown(answer))
  switch (answer['kind']) {
    case 'requests':
      checkParts(answer['of'])
      break
    case 'emit':
      if (!Array.isArray(answer['events']) || !answer['events'].every(isUserEvent)) throw invalid('no list of events')
      break
    case 'fail':
      if (!isObject(answer['error']) || !isOptionalText(answer['error']['code'])) throw invalid('a failure of no form')
      break
    case 'continue':
      if (!isOptionalText(answer['version'])) throw invalid('a version that is no text')
      break
    case 'complete':
      break
    default:
      throw invalid('an object of no kind')
  }
  return answer as unknown as Decision
}

const ITEMS: ReadonlySet<unknown> = new Set<ItemRequest['kind']>(['action', 'timer', 'wait', 'interrupt', 'child'])

function checkParts(parts: unknown): void {
  if (!Array.isArray(parts)) throw invalid('no list of requests')
  for (const part of parts as readonly unknown[]) {
    const kind = isObject(part) ? part['kind'] : undefined
    if (kind === 'requests') checkParts((part as Record<string, unknown>)['of'])
    else if (!ITEMS.has(kind)) throw invalid('a group of something else than requests')
    else if (kind === 'child' && !isOptionalText((part as Record<string, unknown>)['version'])) {
      throw invalid('a child of a version that is no text')
    }
  }
}

function isUserEvent(event: unknown): boolean {
  return isObject(event) && isOptionalText(event['stepId'])
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function invalid(what: string, cause?: unknown): KernelError {
  const text = `the step answered ${what}; return what a method of next gave`
  return new KernelError('INVALID_STEP', text, cause === undefined ? {} : { cause })
}
