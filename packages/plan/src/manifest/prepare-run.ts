import type { ArtifactRef } from '@varve/kernel'
import { isMarked } from '@varve/kernel/stepper'
import { canonicalize, isStoreError, type Canonical, type Json } from '@varve/store'
import type { PlanDefinition } from '../definition/plan.ts'
import { paramsOf, validate } from '../definition/validate.ts'
import { PlanError } from '../errors.ts'
import { findPart, pathOf } from '../policy/find-part.ts'
import { checkValues } from '../policy/value-policy.ts'
import type { PlanInput } from '../schedule/plan-input.ts'
import { manifestOf, type Manifest } from './manifest.ts'
import { closeNames, holdsClosedNames } from './named-secrets.ts'
import type { Provenance } from './provenance.ts'
import { runConfig, type RunConfig } from './run-config.ts'

/** A run config as it is given: what is left out has its default. */
export type RunConfigInput = { readonly [K in keyof RunConfig]?: Readonly<RunConfig[K]> }

/** All that a run is started with, checked, before anything of it is written. */
export interface PreparedRun {
  readonly manifest: Manifest
  /** The run's input, once the manifest is kept. */
  readonly input: (manifest: ArtifactRef, depth: number) => PlanInput
}

/** The params of a run: as they were given, or as another run has recorded them, which its schema has passed already. */
export type ParamsInput = { readonly given: unknown } | { readonly recorded: Json }

/**
 * Checks params and config of a run, also against what each state takes.
 *
 * @throws PlanError `INVALID_PARAMS` | `SECRET_IN_MANIFEST` | `INEXACT_NUMBER`; StoreError `NOT_JSON` | `LIMIT_EXCEEDED`.
 */
export function prepareRun(
  plan: PlanDefinition,
  params: ParamsInput,
  config: RunConfigInput,
  build: Provenance,
): PreparedRun {
  const chosen = validate(runConfig, config, 'config') as RunConfig
  const value = 'recorded' in params ? params.recorded : checkedParams(plan, params.given)
  const canonical = canonicalParams(value ?? null)
  const { copy } = canonical
  if (holdsClosedNames(canonical)) {
    throw new PlanError(
      'INVALID_PARAMS',
      'params hold { "$planSecret": … }, which is how a run records secretRef(); use that',
    )
  }
  const { secrets, numbers } = chosen
  checkValues('params', copy, { secrets, numbers })
  checkStates(plan, copy)
  const manifest = manifestOf(plan, copy, chosen, build)
  const planHash = plan.hash
  const closed = closeNames(copy)
  return { manifest, input: (ref, depth) => ({ manifest: ref, planHash, params: closed, config: chosen, depth }) }
}

function checkedParams({ id, params: schema }: PlanDefinition, params: unknown): unknown {
  if (schema !== undefined) return validate(schema, params, 'params')
  if (params === undefined || params === null) return null
  throw new PlanError('INVALID_PARAMS', `plan ${id} takes no params; declare them, or leave them out`)
}

function canonicalParams(params: unknown): Canonical {
  try {
    return canonicalize(params, { name: 'params' })
  } catch (error) {
    const path = isStoreError(error, 'NOT_JSON') ? findMarked(params) : undefined
    if (path === undefined) throw error
    const text = `${path} is a value of secret(), which a run of a plan does not keep, nor its log; name it with secretRef()`
    throw new PlanError('SECRET_IN_MANIFEST', text, { path })
  }
}

function findMarked(params: unknown): string | undefined {
  return findPart(params as Json, 'params', (part) => {
    const isFound = typeof part.value === 'object' && part.value !== null && isMarked(part.value)
    return isFound ? { found: pathOf(part) } : undefined
  })
}

function checkStates({ graph }: PlanDefinition, params: Json): void {
  for (const node of graph.nodes) {
    if (node.params === undefined) continue
    const part = paramsOf(node.id, node.params, params)
    if (part === undefined) continue
    const { text } = canonicalize(part, { name: `params of state ${node.id}` })
    if (!node.cache || !/"\$secret(Ref)?":/.test(text)) continue
    const why = `state ${node.id} is cached, and its params hold a secret; drop cache: true, or give it no secret`
    throw new PlanError('INVALID_PARAMS', why, { path: `params of state ${node.id}` })
  }
}
