import { isKernelError, retryWithBackoff, type RetryOptions } from '@varve/kernel'
import { checkId, checkList, checkNames, checkOptions, isFrom, shown } from '@varve/store'
import { asDefinition, PlanError } from '../errors.ts'
import { allEdges, type StateNode } from './node.ts'
import { isSchema } from './validate.ts'

const ID = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/
/**
 * The outputs that an attempt reads stand in its request, and an event refers to 1000 artifacts: when a fork takes the result over,
 * one holds the request, the item of a map in it, and what was made.
 */
const MAX_NEEDS = 998

/** Parts of a state that are taken apart before there is a node. */
interface SpecParts {
  readonly id?: unknown
  readonly needs?: unknown
  readonly with?: unknown
  readonly retry?: unknown
  readonly after?: unknown
  readonly tags?: unknown
  readonly environment?: unknown
}

/**
 * Checks what the parts of a state are, before a text is taken apart into its letters.
 *
 * @param names - of all parts that there are: by an effect that is misspelt a payment would be made twice.
 * @throws PlanError `INVALID_DEFINITION`.
 */
export function checkSpec(spec: SpecParts, names: Readonly<Record<string, true>>): void {
  asDefinition(checkOptions, 'what a state is made of', spec)
  const { id, needs, with: shared, retry, after, tags, environment } = spec
  checkName('the id of a state', id)
  asDefinition(checkNames, `state ${id}`, spec, names)
  for (const [name, part] of Object.entries({ needs, with: shared, retry })) {
    if (part !== undefined) asDefinition(checkOptions, `${name} of state ${id}`, part)
  }
  for (const [name, part] of Object.entries({ after, tags, environment })) {
    if (part !== undefined) asDefinition(checkList, `${name} of state ${id}`, part)
  }
}

/** @throws PlanError `INVALID_DEFINITION`. */
export function checkNode(node: StateNode): StateNode {
  const { id, version, cache, effect, environment, timeoutMs } = node
  checkVersion(`the version of state ${id}`, version)
  const invalid = (text: string): PlanError => new PlanError('INVALID_DEFINITION', `state ${id}: ${text}`)
  if (!['pure', 'idempotent', 'at-most-once'].includes(effect)) throw invalid(`there is no effect ${shown(effect)}`)
  if (cache && effect !== 'pure') throw invalid(`what is cached is pure, not ${effect}; leave one of the two out`)
  if (!cache && environment.length > 0) throw invalid('environment goes with cache: true')
  for (const [name, part] of Object.entries(functionsOf(node))) {
    if (typeof part !== 'function') throw invalid(`${name} must be a function, got ${shown(part)}`)
  }
  checkOutput(id, node.output)
  if (node.params !== undefined && !isSchema(node.params)) throw invalid('its params must be a schema')
  for (const text of [...node.tags, ...environment]) {
    if (typeof (text as unknown) !== 'string') throw invalid(`tags and environment are texts, got ${shown(text)}`)
  }
  checkRetry(id, node.retry)
  if (timeoutMs !== undefined) checkTime(`timeoutMs of state ${id}`, timeoutMs)
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
export function checkTime(what: string, ms: unknown): void {
  if (isFrom(0, ms) && ms > 0) return
  throw new PlanError('INVALID_DEFINITION', `${what} must be a number of ms above 0, got ${shown(ms)}`)
}

/** @throws PlanError `INVALID_DEFINITION`. */
export function checkName(what: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && ID.test(name)) return
  const text = `${what} must be a letter and at most 62 letters, digits, _ or -, got ${shown(name)}`
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
      return node.reconcile === undefined ? { run: node.run } : { run: node.run, reconcile: node.reconcile }
    case 'map':
      return { items: node.items, key: node.key, run: node.run }
    case 'approval':
      return node.question === undefined ? {} : { question: node.question }
    case 'child':
      return { childParams: node.childParams }
  }
}

/** @throws PlanError `INVALID_DEFINITION`. */
function checkOutput(id: string, output: unknown): void {
  if (isSchema(output)) return
  if (typeof output !== 'object' || output === null || !('kind' in output) || output.kind !== 'bytes') {
    const text = `state ${id}: its output must be a schema (https://standardschema.dev) or bytes()`
    throw new PlanError('INVALID_DEFINITION', text)
  }
  const { mediaType } = output as Partial<Record<'mediaType', unknown>>
  asDefinition(checkId, `the media type of state ${id}`, mediaType)
}
