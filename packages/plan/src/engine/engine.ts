import {
  type ArtifactRef,
  type CancelOptions,
  type Clock,
  createKernel,
  type FollowOptions,
  type Kernel,
  type KernelOptions,
  type Outcome,
  type RecoveredRun,
  systemClock,
  type Workflow,
} from '@varve/kernel'
import { type ContentId, type Store, type StoredArtifact } from '@varve/store'
import { randomUUID } from 'node:crypto'
import { outputCache } from '../cache/output-cache.ts'
import type { AnyState } from '../definition/need.ts'
import type { AnyPlan, Plan } from '../definition/plan.ts'
import type { WorkflowRuntime } from '../execution/plan-workflow.ts'
import { transportRegistry, type TransportFactories } from '../execution/transport-registry.ts'
import type { Manifest } from '../manifest/manifest.ts'
import type { RunConfigInput } from '../manifest/prepare-run.ts'
import { provenanceOf, type Provenance } from '../manifest/provenance.ts'
import type { PlanStatus } from '../view/plan-status.ts'
import { answerApproval, type ApprovalAnswer } from './answer-approval.ts'
import { checkEngine, checkFork, checkPlan, checkVerb, givenTo, idOf, kernelOptions } from './check-given.ts'
import { collect, type Collected, type CollectOptions } from './collect.ts'
import { diffPlans, type PlanDiff } from './diff-plans.ts'
import { explainState, type ExplainOptions, type Explanation } from './explain.ts'
import { forkPlan, type PlanForkOptions } from './fork-plan.ts'
import { artifactOrigins, type ArtifactOrigin } from './lineage.ts'
import { endOf, followPlan, planOutcome, type PlanOutcome } from './outcome.ts'
import { readOutput, runOutputs, type OutputOfState } from './outputs.ts'
import type { EngineParts } from './parts.ts'
import { pinArtifacts, unpinArtifacts, type Pin } from './pins.ts'
import { pinnedRun, pinnedStart, samePlan } from './pinned-run.ts'
import { planRegistry, type PlanResolver } from './plan-registry.ts'
import { planProgress, type Progress, type ProgressOptions } from './progress.ts'
import { recoverPlans } from './recover-plans.ts'
import { remakeArtifact, type Remade } from './remake.ts'
import { replayPlan, type PlanReplay } from './replay-run.ts'
import { settleState, type StateSettlement } from './settle-state.ts'
import { steadyArtifacts, steadyStore } from './steady-stores.ts'
import { startPlan, type PlanStartOptions } from './start-run.ts'
import { planStatus } from '../view/plan-status.ts'
import { verifyPlan, type PlanVerification } from './verify-plan.ts'

/** What an engine is made of: plans and what they need, and a kernel: one of its own, or one that is there already. */
export type EngineOptions = PlanEngineOptions & (OwnKernelOptions | GivenKernelOptions)

/** What plans need besides a kernel. */
export interface PlanEngineOptions {
  /** Plans that this engine can run; one that is started is known from then on. Several versions may stand side by side. */
  readonly plans?: readonly AnyPlan[]
  /** Makes plans again that were built at run time, when a run of one is taken up. */
  readonly resolver?: PlanResolver
  /** What `io.call` reaches, by name. A replay makes none of them. */
  readonly transports?: TransportFactories
  /** Config of every run, where a start does not say otherwise. */
  readonly config?: RunConfigInput
  /** The environment that cached states may declare variables of. Default: that of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** What manifests say of the build. Default: what can be found out in the current folder. */
  readonly provenance?: Provenance
}

/** How the engine's own kernel is made; it is closed with the engine. */
export interface OwnKernelOptions extends Omit<KernelOptions, 'workflows'> {
  /** Workflows that it runs beside the plans. */
  readonly workflows?: readonly Workflow[]
  readonly kernel?: undefined
}

/** A kernel that plans are to run on; it stays open when the engine is closed. */
export interface GivenKernelOptions {
  readonly kernel: Kernel
  /** The kernel's. */
  readonly store: Store
  /** Default: the clock of this machine. */
  readonly clock?: Clock
  /** Makes the ids of runs that are started or forked without one. Default: a start gets one of the kernel's, a fork a random UUID. */
  readonly newId?: () => string
}

/**
 * Runs plans. Everything may be called at any time, from any process, twice at once. Expected ends are outcomes; errors are
 * PlanErrors with their code, or those of the kernel and the store.
 */
export interface Engine extends AsyncDisposable {
  /** The kernel that runs the plans: evidence, timelines, signals, recovery. */
  readonly kernel: Kernel
  /**
   * Starts a run and drives it until it ends or waits. All is checked before anything is written. Idempotent by run id: the
   * same plan, params and config return that run.
   *
   * @throws PlanError `INVALID_DEFINITION` | `INVALID_PARAMS` | `SECRET_IN_MANIFEST` | `INEXACT_NUMBER` | `RUN_EXISTS` |
   * `PLAN_CHANGED`; StoreError `INVALID_ARGUMENT` | `NOT_JSON` | `LIMIT_EXCEEDED`.
   */
  start<Params, Output>(
    plan: Plan<Params, Output>,
    params: NoInfer<Params>,
    options?: PlanStartOptions,
  ): Promise<PlanOutcome<Output>>
  /**
   * Drives a run on, or follows the process that does. On one that waits with nothing new, and on one that has ended, it
   * writes nothing; one that has ended needs no plan. Its child plans are runs of their own: one whose process is gone is taken up
   * by {@link Engine.recover} or a worker, and not by this.
   *
   * @throws PlanError `RUN_NOT_FOUND` | `NOT_A_PLAN_RUN` | `MANIFEST_CORRUPT` | `PLAN_MISSING` | `PLAN_CHANGED` with the difference.
   */
  run(runId: string): Promise<PlanOutcome>
  /** Waits until a run has ended, and drives nothing. @throws PlanError `RUN_NOT_FOUND` | `NOT_A_PLAN_RUN` | `MANIFEST_CORRUPT`. */
  follow(runId: string, options?: FollowOptions): Promise<PlanOutcome>
  /** As {@link run}, also for a run that was parked, or has crashed its process too often. @throws as {@link run}. */
  resume(runId: string): Promise<PlanOutcome>
  /**
   * Drives what no living process drives: what a program calls once at its start, and from time to time where other processes on
   * its store may die and there is no worker. Asks the resolver for plans that are not known
   * here; runs of plans that nobody knows are left as they are.
   */
  recover(options?: { readonly concurrency?: number }): Promise<readonly RecoveredRun[]>
  /**
   * Answers an approval. Answering again with the same changes nothing.
   *
   * @throws PlanError `STATE_NOT_FOUND`; KernelError `NOT_OPEN` | `RUN_TERMINAL` | `INVALID_INPUT`; StoreError `INVALID_ARGUMENT`.
   */
  approve(runId: string, state: AnyState | string, answer: ApprovalAnswer): Promise<PlanOutcome>
  /**
   * Says what became of an execution in doubt: of a state, or of an item of a map by its key `<state>:item:<item>`.
   *
   * @throws PlanError `STATE_NOT_FOUND` | `OUTPUT_INVALID`; KernelError `NOT_IN_DOUBT` | `RUN_TERMINAL`; StoreError
   * `INVALID_ARGUMENT`.
   */
  settle(runId: string, state: AnyState | string, settlement: StateSettlement): Promise<PlanOutcome>
  /**
   * Ends a run: what is open is dropped, its executions are aborted, its child plans are canceled.
   *
   * @throws PlanError `RUN_NOT_FOUND` | `NOT_A_PLAN_RUN`; KernelError `RUN_TERMINAL`; StoreError `INVALID_ARGUMENT`.
   */
  cancel(runId: string, options: CancelOptions): Promise<PlanOutcome>
  /** Where a run and each of its states stand. Needs no code of the plan. */
  status(runId: string): Promise<PlanStatus>
  /** The outputs of a run's states so far, by state id. */
  outputs(runId: string): Promise<Readonly<Record<string, ArtifactRef>>>
  /**
   * The output of one state, read against its hash: JSON as a value, bytes to be read, a map's as its entries.
   *
   * @throws PlanError `STATE_NOT_FOUND` | `NO_OUTPUT`; StoreError `ARTIFACT_NOT_FOUND` | `ARTIFACT_CORRUPT`.
   */
  output<S extends AnyState | string>(runId: string, state: S): Promise<OutputOfState<S>>
  /** An artifact by its id. @throws StoreError `ARTIFACT_NOT_FOUND` | `INVALID_ARGUMENT`. */
  artifact(id: ContentId): Promise<StoredArtifact>
  /** What a run was started from. */
  manifest(runId: string): Promise<Manifest>
  /** Runs the recorded executions again from what was recorded, without live IO, and compares their artifacts. */
  replay(runId: string): Promise<PlanReplay>
  /** Checks log, decisions, manifest and every artifact that a run refers to. */
  verify(runId: string): Promise<PlanVerification>
  /**
   * A new run that does one thing otherwise, and takes over every result that this leaves as it was.
   *
   * @throws PlanError `RUN_NOT_FOUND` | `STATE_NOT_FOUND` | `INVALID_PARAMS` | `OUTPUT_INVALID` | `PLAN_CHANGED` | `IN_DOUBT`;
   * StoreError `HEAD_CONFLICT` when the new id is taken, `INVALID_ARGUMENT`.
   */
  fork(runId: string, options?: PlanForkOptions): Promise<PlanOutcome>
  /** Compares two runs by plan, params, states and artifacts. */
  diff(a: string, b: string): Promise<PlanDiff>
  /** Why a state ran or did not; of a map, also why each of its items did. */
  explain(runId: string, state: AnyState | string, options?: ExplainOptions): Promise<readonly Explanation[]>
  /** Which runs and states made an artifact, and from what; those of the newest runs first. */
  origins(artifact: ContentId): AsyncGenerator<ArtifactOrigin, void, undefined>
  /** Follows a run to its end: how many states are done, and which have moved. */
  progress(runId: string, options?: ProgressOptions): AsyncGenerator<Progress, void, undefined>
  /** Makes a state's artifact again when it is gone or corrupt. @throws PlanError `NO_OUTPUT` | `NOT_REPRODUCIBLE` | `MISSING_FACT`. */
  remake(runId: string, key: string): Promise<Remade>
  /** Deletes artifacts that nothing refers to. @throws PlanError `INVALID_PARAMS`; StoreError `INVALID_ARGUMENT`. */
  collect(options?: CollectOptions): Promise<Collected>
  /**
   * Keeps artifacts, and what lists among them list, until the name is taken out again. The same again changes nothing.
   *
   * @throws PlanError `NO_OUTPUT` when one of them is not there; `INVALID_PARAMS` when the name is no text, or keeps others;
   * StoreError `INVALID_ARGUMENT`.
   */
  pin(name: string, artifacts: readonly ContentId[]): Promise<Pin>
  /** @returns false when there is no such pin. @throws PlanError `INVALID_PARAMS` when the name is no text. */
  unpin(name: string): Promise<boolean>
}

/** @throws PlanError `INVALID_DEFINITION` | `PLAN_CHANGED`, or KernelError, for options that cannot work. */
export function createEngine(options: EngineOptions): Engine {
  checkEngine(options)
  const parts = engineParts(options)
  const { kernel } = parts
  // A kernel of the engine's own makes its ids by the option itself.
  const newId = options.kernel === undefined ? undefined : options.newId
  return {
    kernel,
    ...drivingVerbs(parts, newId),
    ...readingVerbs(parts),
    collect: async (collectOptions = {}) => {
      checkVerb('collect', collectOptions)
      return collect(parts, await parts.store.now(), collectOptions)
    },
    pin: async (name, artifacts) => pinArtifacts(parts, name, artifacts),
    unpin: async (name) => unpinArtifacts(parts, name),
    [Symbol.asyncDispose]: async () => {
      if (options.kernel === undefined) await kernel[Symbol.asyncDispose]()
    },
  }
}

type DrivingVerbs = Pick<
  Engine,
  'start' | 'run' | 'follow' | 'resume' | 'recover' | 'approve' | 'settle' | 'cancel' | 'fork'
>

function drivingVerbs(parts: EngineParts, newId: (() => string) | undefined): DrivingVerbs {
  const { kernel } = parts
  const drive = async (runId: string, move: (plan: AnyPlan) => Promise<Outcome>): Promise<PlanOutcome> => {
    const { manifest } = await pinnedStart(parts, runId)
    const plan = await samePlan(parts, runId, manifest)
    return planOutcome(parts, plan.definition, await move(plan))
  }
  return {
    start: async (plan, params, startOptions = {}) => {
      checkPlan('what start is given first', plan)
      checkVerb('start', startOptions)
      const runId = startOptions.runId ?? newId?.()
      const own = { ...givenTo('start', startOptions), ...(runId !== undefined && { runId }) }
      const outcome = await startPlan(parts, plan, params, own)
      return (await planOutcome(parts, plan.definition, outcome)) as never
    },
    run: async (runId) => (await endOf(parts, runId)) ?? drive(runId, async () => kernel.run(runId)),
    follow: async (runId, followOptions = {}) => {
      checkVerb('follow', followOptions)
      return followPlan(parts, runId, followOptions)
    },
    resume: async (runId) => (await endOf(parts, runId)) ?? drive(runId, async () => kernel.retry(runId)),
    recover: async (recoverOptions = {}) => {
      checkVerb('recover', recoverOptions)
      return recoverPlans(parts, recoverOptions)
    },
    approve: async (runId, state, answer) => {
      checkVerb('approve', answer)
      const id = idOf(state)
      return drive(runId, async () => answerApproval(parts, runId, id, answer))
    },
    settle: async (runId, state, settlement) => {
      checkVerb('settle', settlement)
      const key = idOf(state)
      return drive(runId, async (plan) => settleState(parts, runId, { plan, key }, settlement))
    },
    cancel: async (runId, cancelOptions) => {
      checkVerb('cancel', cancelOptions)
      // A run that has ended says so, whether its plan is there or not.
      return (await endOf(parts, runId)) === undefined
        ? drive(runId, async () => kernel.cancel(runId, cancelOptions))
        : ((await kernel.cancel(runId, cancelOptions)) as never)
    },
    fork: async (runId, forkOptions = {}) => {
      checkFork(forkOptions)
      const { plan, outcome } = await forkPlan(parts, runId, givenTo('fork', forkOptions))
      return planOutcome(parts, plan.definition, outcome)
    },
  }
}

type ReadingVerbs = Pick<
  Engine,
  | 'status'
  | 'outputs'
  | 'output'
  | 'artifact'
  | 'manifest'
  | 'replay'
  | 'verify'
  | 'diff'
  | 'explain'
  | 'origins'
  | 'progress'
  | 'remake'
>

function readingVerbs(parts: EngineParts): ReadingVerbs {
  return {
    status: async (runId) => {
      const { record, manifest } = await pinnedRun(parts, runId)
      return planStatus(record, manifest)
    },
    outputs: async (runId) => runOutputs(parts, runId),
    output: async (runId, state) => (await readOutput(parts, runId, idOf(state))) as never,
    artifact: async (id) => parts.artifacts.get(id),
    manifest: async (runId) => (await pinnedStart(parts, runId)).manifest,
    replay: async (runId) => replayPlan(parts, runId),
    verify: async (runId) => verifyPlan(parts, runId),
    diff: async (a, b) => diffPlans(parts, a, b),
    explain: async (runId, state, explainOptions = {}) => {
      checkVerb('explain', explainOptions)
      return explainState(parts, runId, idOf(state), explainOptions)
    },
    origins: (artifact) => artifactOrigins(parts, artifact),
    progress: (runId, progressOptions = {}) => {
      checkVerb('progress', progressOptions)
      return planProgress(parts, runId, progressOptions)
    },
    remake: async (runId, key) => remakeArtifact(parts, runId, key),
  }
}

function engineParts(options: EngineOptions): EngineParts {
  const { plans = [], resolver, transports = {}, config = {}, environment = process.env, provenance } = options
  const { newId = randomUUID, clock = systemClock } = options
  const kernel = options.kernel ?? ownKernel(options)
  const artifacts = steadyArtifacts(kernel.artifacts, clock)
  const store = steadyStore(options.store, clock)
  let found: Promise<Provenance> | undefined
  const runtime: WorkflowRuntime = {
    cache: outputCache(store.cache, artifacts),
    artifacts,
    transports: transportRegistry(transports),
    ...{ environment, newId },
    provenance: async () => provenance ?? (found ??= provenanceOf(process.cwd())),
  }
  const registry = planRegistry(kernel, runtime, resolver)
  for (const plan of plans) registry.add(plan)
  return { kernel, store, artifacts, plans: registry, runtime, config, clock }
}

function ownKernel(options: OwnKernelOptions): Kernel {
  const { store, artifacts = store.artifacts, workflows = [] } = options
  return createKernel({ ...kernelOptions(options), artifacts, workflows })
}
