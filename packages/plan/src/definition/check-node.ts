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
