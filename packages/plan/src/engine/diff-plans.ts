import type { ContentId } from '@varve/store'
import { planChanges, type PlanChange } from '../manifest/manifest.ts'
import { planStatus, type StateStatus } from '../view/plan-status.ts'
import type { EngineParts } from './parts.ts'
import { pinnedRun, type PinnedRun } from './pinned-run.ts'
import { canonicalJson, type Json } from '@varve/store'

/** A state that came out differently in two runs. */
export interface StateDiff {
  readonly id: string
  /** How it stands in each run, and what it made; absent where the run's plan does not have it. */
  readonly a?: { readonly status: StateStatus; readonly artifact?: ContentId }
  readonly b?: { readonly status: StateStatus; readonly artifact?: ContentId }
}

/** How two runs of a plan differ. */
export interface PlanDiff {
  /** True when plans, params and outputs are the same. Whether outputs were made or taken over makes no difference. */
  readonly same: boolean
  readonly plan: readonly PlanChange[]
  /** Names of the params that differ; `params` when they are no objects. */
  readonly params: readonly string[]
  /** States whose outputs differ, or that have one in one of the runs. */
  readonly states: readonly StateDiff[]
}

/** Compares two runs state by state. */
export async function diffPlans(parts: EngineParts, a: string, b: string): Promise<PlanDiff> {
  const [one, other] = await Promise.all([pinnedRun(parts, a), pinnedRun(parts, b)])
  const plan = planChanges(one.manifest, asPlan(other))
  const params = changedParams(one.manifest.params, other.manifest.params)
  const [viewsA, viewsB] = [viewsOf(one), viewsOf(other)]
  const ids = new Set([...viewsA.keys(), ...viewsB.keys()])
  const states = [...ids].flatMap((id): StateDiff[] => {
    const [viewA, viewB] = [viewsA.get(id), viewsB.get(id)]
    if (viewA?.artifact === viewB?.artifact && viewA !== undefined && viewB !== undefined) return []
    return [{ id, ...(viewA && { a: viewA }), ...(viewB && { b: viewB }) }]
  })
  return { same: plan.length + params.length + states.length === 0, plan, params, states }
}

function asPlan({ manifest }: PinnedRun): Parameters<typeof planChanges>[1] {
  const { plan, states } = manifest
  return { ...plan, output: plan.output ?? undefined, states }
}

function viewsOf({ record, manifest }: PinnedRun): Map<string, NonNullable<StateDiff['a']>> {
  return new Map(
    planStatus(record, manifest).states.map(({ id, status, artifact }) => [
      id,
      { status, ...(artifact && { artifact: artifact.$artifact }) },
    ]),
  )
}

function changedParams(a: Json, b: Json): readonly string[] {
  if (canonicalJson(a) === canonicalJson(b)) return []
  if (!isObject(a) || !isObject(b)) return ['params']
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].filter((name) => textOf(a[name]) !== textOf(b[name])).sort()
}

function isObject(value: Json): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What is absent is not null. */
function textOf(value: Json | undefined): string {
  return value === undefined ? '' : canonicalJson(value)
}
