import { canonicalJson, type ContentId, type Json } from '@varve/store'
import type { PlanDefinition } from '../definition/plan.ts'
import type { ManifestState } from './manifest-state.ts'
import type { Provenance } from './provenance.ts'
import type { RunConfig } from './run-config.ts'

/** What a run was started from: an artifact of canonical JSON, which the run's first event names. */
export interface Manifest {
  readonly format: 1
  readonly plan: {
    readonly id: string
    readonly version: string
    readonly hash: ContentId
    readonly output: string | null
  }
  readonly states: readonly ManifestState[]
  readonly params: Json
  readonly config: RunConfig
  readonly build: Provenance
}

/** The manifest of one run of a plan. */
export function manifestOf(plan: PlanDefinition, params: Json, config: RunConfig, build: Provenance): Manifest {
  const { id, version, hash, output = null, states } = plan
  return { format: 1, plan: { id, version, hash, output }, states, params, config, build }
}

/** One difference between a recorded plan and one that is registered. */
export interface PlanChange {
  /** Id of the state; absent for the plan itself. */
  readonly state?: string
  /** What of it: `added`, `removed`, or the name of the part that changed; of the plan, also the `order` of its states. */
  readonly what: string
}

/** Where two plans differ, in the order of the states recorded; empty when they do the same. */
export function planChanges(
  recorded: Pick<Manifest, 'plan' | 'states'>,
  plan: Pick<PlanDefinition, 'id' | 'version' | 'output' | 'states'>,
): readonly PlanChange[] {
  const changes: PlanChange[] = []
  if (recorded.plan.id !== plan.id) changes.push({ what: 'id' })
  if (recorded.plan.version !== plan.version) changes.push({ what: 'version' })
  if (recorded.plan.output !== (plan.output ?? null)) changes.push({ what: 'output' })
  const now = new Map(plan.states.map((state) => [state.id, state]))
  const before = new Set(recorded.states.map(({ id }) => id))
  for (const state of recorded.states) {
    const other = now.get(state.id)
    if (other === undefined) changes.push({ state: state.id, what: 'removed' })
    else changes.push(...partsThatDiffer(state, other).map((what) => ({ state: state.id, what })))
  }
  for (const { id } of plan.states) if (!before.has(id)) changes.push({ state: id, what: 'added' })
  const order = ({ states }: { readonly states: readonly ManifestState[] }): string => states.map(({ id }) => id).join()
  // Of plans with the same states: two orders of declaration.
  if (changes.length === 0 && order(recorded) !== order(plan)) changes.push({ what: 'order' })
  return changes
}

function partsThatDiffer(a: ManifestState, b: ManifestState): readonly string[] {
  const parts = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof ManifestState>
  return [...parts].filter((part) => textOf(a[part]) !== textOf(b[part]))
}

/** A manifest that was read has its names in another order than a plan that was declared. */
function textOf(part: unknown): string {
  return part === undefined ? '' : canonicalJson(part)
}
