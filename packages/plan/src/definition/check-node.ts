import { isKernelError, retryWithBackoff, type RetryOptions } from '@varve/kernel'
import { PlanError } from '../errors.ts'
import { allEdges, type StateNode } from './node.ts'

const ID = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/
/** The outputs that an attempt reads stand in its request, which is one event. */
const MAX_NEEDS = 1000

/** @throws PlanError `INVALID_DEFINITION`. */
export function checkNode(node: StateNode): StateNode {
  const { id, version, cache, effect, environment, timeoutMs } = node
  checkName('the id of a state', id)
  checkVersion(`the version of state ${id}`, version)
  const invalid = (text: string): PlanError => new PlanError('INVALID_DEFINITION', `state ${id}: ${text}`)
  if (!['pure', 'idempotent', 'at-most-once'].includes(effect)) throw invalid(`there is no effect ${effect}`)
  if (cache && effect !== 'pure') throw invalid(`what is cached is pure, not ${effect}; leave one of the two out`)
  if (!cache && environment.length > 0) throw invalid('environment goes with cache: true')
  for (const [name, part] of Object.entries(functionsOf(node))) {
    if (typeof part !== 'function') throw invalid(`${name} must be a function, got ${typeof part}`)
  }
  if (!isOutput(node.output)) throw invalid('its output must be a schema (https://standardschema.dev) or bytes()')
  checkRetry(id, node.retry)
  if (timeoutMs !== undefined && !(timeoutMs > 0)) throw invalid(`timeoutMs must be above 0, got ${timeoutMs}`)
  if (node.kind === 'state' && effect !== 'at-most-once' && (node.reconcile !== undefined || node.fenced)) {
    throw invalid(`reconcile and fenced go with effect: 'at-most-once', not with ${effect}`)
  }
  if (allEdges(node).length > MAX_NEEDS) {
    throw invalid(
      `it needs ${allEdges(node).length} states, ${MAX_NEEDS} are allowed; join them in parts, or use mapState`,
    )
  }
  return node
}

/** @throws PlanError `INVALID_DEFINITION`. */
export function checkName(what: string, name: unknown): void {
  if (typeof name === 'string' && ID.test(name)) return
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 80)) : typeof name
  const text = `${what} must be a letter and at most 62 letters, digits, _ or -, got ${shown}`
  throw new PlanError('INVALID_DEFINITION', text)
}

/** @throws PlanError `INVALID_DEFINITION`. */
export function checkVersion(what: string, version: unknown): void {
  if (typeof version === 'string' && version.length >= 1 && version.length <= 100) return
  throw new PlanError('INVALID_DEFINITION', `${what} must be text of 1-100 characters`)
}

/** @throws PlanError `INVALID_DEFINITION`. */
function checkRetry(id: string, retry: RetryOptions | undefined): void {
  try {
    if (retry !== undefined) retryWithBackoff(retry)
  } catch (error) {
    if (!isKernelError(error, 'INVALID_DEFINITION')) throw error
    throw new PlanError('INVALID_DEFINITION', `the retry of state ${id} is none: ${error.message}`, { cause: error })
  }
}

function functionsOf(node: StateNode): Readonly<Record<string, unknown>> {
  switch (node.kind) {
    case 'state':
      return { run: node.run }
    case 'map':
      return { items: node.items, key: node.key, run: node.run }
    case 'approval':
      return node.question === undefined ? {} : { question: node.question }
    case 'child':
      return { childParams: node.childParams }
  }
}

function isOutput(output: unknown): boolean {
  if ((typeof output !== 'object' && typeof output !== 'function') || output === null) return false
  return '~standard' in output || ('kind' in output && output.kind === 'bytes')
}
