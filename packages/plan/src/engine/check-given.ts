import type { CancelOptions, FollowOptions } from '@varve/kernel'
import { checkList, checkNames, checkOptions, shown, type NamesOf } from '@varve/store'
import { isState, type AnyState } from '../definition/need.ts'
import { isPlan, type AnyPlan } from '../definition/plan.ts'
import { validate } from '../definition/validate.ts'
import { asDefinition, PlanError } from '../errors.ts'
import { provenanceSchema } from '../manifest/provenance.ts'
import { runConfig } from '../manifest/run-config.ts'
import type { ApprovalAnswer } from './answer-approval.ts'
import type { CollectOptions } from './collect.ts'
import type { Engine, EngineOptions, GivenKernelOptions, OwnKernelOptions, PlanEngineOptions } from './engine.ts'
import type { ExplainOptions } from './explain.ts'
import type { ProgressOptions } from './progress.ts'
import type { StateSettlement } from './settle-state.ts'
import type { PlanStartOptions } from './start-run.ts'
import type { PlanForkOptions } from './fork-plan.ts'

const OF_PLANS: NamesOf<PlanEngineOptions> = {
  ...{ plans: true, resolver: true, transports: true, config: true, environment: true, provenance: true },
}

const OF_KERNEL: NamesOf<Omit<OwnKernelOptions, 'kernel'>> = {
  ...{ store: true, artifacts: true, workflows: true, policy: true, leaseMs: true, onDrift: true, guard: true },
  ...{ limits: true, secrets: true, onCommitted: true, observer: true, onWarning: true, build: true, clock: true },
  ...{ maxRecoveries: true, newId: true, owner: true },
}

const OF_GIVEN: NamesOf<GivenKernelOptions> = { kernel: true, store: true, clock: true, newId: true }

/** What each verb takes as options. */
const OF_VERBS = {
  start: {
    ...{ runId: true, tags: true, queue: true, priority: true, concurrencyKey: true },
    ...{ startAt: true, delayMs: true, deadlineMs: true, wait: true, config: true },
  } satisfies NamesOf<PlanStartOptions>,
  follow: { signal: true } satisfies NamesOf<FollowOptions>,
  recover: { concurrency: true } satisfies NamesOf<NonNullable<Parameters<Engine['recover']>[0]>>,
  approve: { approved: true, comment: true, by: true } satisfies NamesOf<ApprovalAnswer>,
  settle: { status: true, output: true, message: true, by: true } satisfies NamesOf<StateSettlement>,
  cancel: { reason: true, by: true, graceMs: true, wait: true } satisfies NamesOf<CancelOptions>,
  fork: {
    ...{ as: true, from: true, output: true, params: true, config: true, plan: true, wait: true },
  } satisfies NamesOf<PlanForkOptions>,
  explain: { against: true } satisfies NamesOf<ExplainOptions>,
  progress: { signal: true } satisfies NamesOf<ProgressOptions>,
  collect: { graceMs: true, cacheOlderThanMs: true, dryRun: true } satisfies NamesOf<CollectOptions>,
} as const satisfies { readonly [V in keyof Engine]?: object }

/**
 * What nobody reads would be passed over without a word: a collection deletes where a misspelt `dryRun` was to keep it from that.
 *
 * @throws StoreError `INVALID_ARGUMENT`.
 */
export function checkVerb(verb: keyof typeof OF_VERBS, options: object): void {
  checkOptions(`what ${verb} is given`, options)
  checkNames(verb, options, OF_VERBS[verb])
}

/** What of an engine's options is its kernel's, which refuses all else. */
export function kernelOptions(options: OwnKernelOptions): OwnKernelOptions {
  return onlyOf(OF_KERNEL, options)
}

/** What a verb is given, to be spread: that would leave out what an instance of a class inherits. */
export function givenTo<T extends object>(verb: keyof typeof OF_VERBS, options: T): T {
  return onlyOf(OF_VERBS[verb], options)
}

function onlyOf<T extends object>(names: object, options: T): T {
  const found = Object.keys(names).filter((name) => name in options)
  return Object.fromEntries(found.map((name) => [name, options[name as keyof T]])) as T
}

/** @throws PlanError `INVALID_DEFINITION` for what no engine can be made of. */
export function checkEngine(options: EngineOptions): void {
  asDefinition(checkOptions, 'what an engine is made of', options)
  const {
    kernel,
    store,
    plans = [],
    transports = {},
    environment = {},
    config = {},
    provenance,
    resolver,
    newId,
  } = options
  if (kernel === undefined) asDefinition(checkNames, 'an engine', options, { ...OF_PLANS, kernel: true, ...OF_KERNEL })
  else asDefinition(checkNames, 'an engine on a kernel', options, { ...OF_PLANS, ...OF_GIVEN })
  asDefinition(checkOptions, 'the store of an engine', store)
  if (kernel !== undefined && typeof (kernel as Partial<typeof kernel> | null)?.register !== 'function') {
    throw new PlanError(
      'INVALID_DEFINITION',
      `the kernel of an engine must be made by createKernel, got ${shown(kernel)}`,
    )
  }
  asDefinition(checkList, 'the plans of an engine', plans)
  for (const [i, plan] of plans.entries()) checkPlan(`plans[${i}] of an engine`, plan)
  asDefinition(checkOptions, 'the transports of an engine', transports)
  asDefinition(checkOptions, 'the environment of an engine', environment)
  // Else every start would fail, and none of them where the config was given.
  validate(runConfig, config, 'the config of an engine', 'INVALID_DEFINITION')
  if (provenance !== undefined) {
    validate(provenanceSchema, provenance, 'the provenance of an engine', 'INVALID_DEFINITION')
  }
  const makers = Object.entries(transports).map(([name, make]) => [`transports.${name}`, make] as const)
  for (const [what, part] of [['resolver', resolver], ['newId', newId], ...makers] as const) {
    if (part === undefined || typeof part === 'function') continue
    throw new PlanError('INVALID_DEFINITION', `${what} of an engine must be a function, got ${shown(part)}`)
  }
}

/** @throws PlanError `INVALID_DEFINITION`. */
export function checkPlan(what: string, plan: AnyPlan): void {
  if (isPlan(plan)) return
  throw new PlanError('INVALID_DEFINITION', `${what} must be a plan that definePlan has made, got ${shown(plan)}`)
}

/** @throws PlanError `STATE_NOT_FOUND` | `INVALID_DEFINITION`; StoreError `INVALID_ARGUMENT`. */
export function checkFork(options: PlanForkOptions): void {
  checkVerb('fork', options)
  const { from, plan } = options
  if (from !== undefined) idOf(from)
  if (plan !== undefined) checkPlan('the plan of a fork', plan)
}

/** The id of a state that is named by itself or by its id. @throws PlanError `STATE_NOT_FOUND` for what is neither. */
export function idOf(state: AnyState | string): string {
  if (typeof state === 'string') return state
  if (isState(state)) return state.id
  throw new PlanError('STATE_NOT_FOUND', `a state is named by its id or by itself, got ${shown(state)}`)
}
