import {
  canonicalize,
  checkId,
  defaultLimits,
  type Json,
  type Page,
  type PageRequest,
  type RunFilter,
  type RunRow,
} from '@varve/store'
import { systemClock } from '../clock.ts'
import type { Environment } from '../driver/environment.ts'
import type { Outcome } from '../driver/outcome.ts'
import { KernelError } from '../errors.ts'
import { processOwner } from '../owner.ts'
import { allowAll } from '../policy/policy.ts'
import { readExecutionLog, type ExecutionLogEntry } from '../views/execution-log.ts'
import { readFold, type ReplayedRun } from '../views/read-fold.ts'
import { readTimeline, type Timeline } from '../views/timeline.ts'
import type { Workflow } from '../workflow/define-workflow.ts'
import { Drives, runNotFound } from './drives.ts'
import { moveRun, type KernelParts } from './parts.ts'
import type { KernelOptions, RunOptions, StartOptions } from './options.ts'
import { recoverRuns, type RecoveredRun } from './recover.ts'
import { createRegistry } from './registry.ts'
import { resumeRun, type AnswerOptions } from './resume.ts'
import { enqueueRun, startRun } from './start.ts'

/**
 * Runs workflows on a store. Everything may be called at any time, from any process, twice at once: a run is moved by one
 * holder of its lease, and every other caller follows it.
 */
export interface Kernel extends AsyncDisposable {
  /**
   * Starts a run and drives it until it ends or blocks. Idempotent by run id: the same input returns that run.
   *
   * @throws KernelError `INVALID_INPUT` | `RUN_EXISTS` (another workflow or input) | `WORKFLOW_MISSING`, or what parks the run.
   * When the very first decision fails, nothing is written.
   */
  start<Input, Output>(
    workflow: Workflow<Input, Output>,
    input: NoInfer<Input>,
    options?: StartOptions,
  ): Promise<Outcome<Output>>
  /**
   * Drives a run until it ends or blocks; follows it there while another process drives it. On a blocked run with nothing
   * new, and on one that has ended, it returns the recorded outcome and writes nothing.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `WORKFLOW_MISSING`, or what parks the run (`CODE_CHANGED`, `NO_PROGRESS`, …).
   */
  run(runId: string, options?: RunOptions): Promise<Outcome>
  /**
   * Drives what no living process drives: runs whose process died or gave up, runs that are due. Keeps the timers of those
   * that wait for a time. What an embedded program calls once at its start.
   */
  recover(options?: { readonly concurrency?: number }): Promise<readonly RecoveredRun[]>
  /**
   * Answers an open interrupt and drives the run on. Repeating an answer that was taken returns the run as it stands.
   *
   * @throws KernelError `RUN_NOT_FOUND` | `NOT_OPEN` | `RUN_TERMINAL` | `INVALID_INPUT`; nothing is written then.
   */
  resume(runId: string, answer: AnswerOptions): Promise<Outcome>
  /** Rebuilds a run's state from its whole log. Nothing is executed and nothing is written. */
  replay(runId: string, options?: RunOptions): Promise<ReplayedRun>
  /** As {@link replay}, from the newest usable snapshot. */
  replayFromSnapshot(runId: string, options?: RunOptions): Promise<ReplayedRun>
  /** What happened, event by event; checks the log on the way and needs no code of the workflow. */
  timeline(runId: string): Promise<Timeline>
  /** Every event with its data and the hash of the state after it. */
  executionLog(runId: string, options?: RunOptions): AsyncGenerator<ExecutionLogEntry, void, undefined>
  /** A run's row. @throws KernelError `RUN_NOT_FOUND`. */
  get(runId: string): Promise<RunRow>
  /** A run's row, or undefined. */
  find(runId: string): Promise<RunRow | undefined>
  /** Runs, newest first. */
  list(filter?: RunFilter, page?: Partial<PageRequest>): Promise<Page<RunRow>>
}

/** @throws KernelError `INVALID_DEFINITION` for options that cannot work. */
export function createKernel(options: KernelOptions): Kernel {
  const env = environmentOf(options)
  const drives = new Drives(env)
  const newId = options.newId ?? (() => crypto.randomUUID())
  const registry = createRegistry(options.workflows)
  const kernel: KernelParts = { env, drives, newId }
  return {
    start: async (workflow, input, startOptions = {}) => {
      drives.checkOpen()
      registry.check(workflow)
      const start = startOptions.wait === false ? enqueueRun : startRun
      return (await start(kernel, workflow.definition, input, startOptions)) as never
    },
    run: async (runId, runOptions = {}) => {
      drives.checkOpen()
      checkId('a run id', runId)
      return moveRun(kernel, runId, stateOf(runOptions))
    },
    recover: async ({ concurrency = 10 } = {}) => {
      drives.checkOpen()
      return recoverRuns(kernel, options.workflows, concurrency)
    },
    resume: async (runId, answer) => {
      drives.checkOpen()
      return resumeRun(kernel, runId, answer)
    },
    ...readingVerbs(env),
    [Symbol.asyncDispose]: () => drives.close(),
  }
}

type ReadingVerbs = Pick<
  Kernel,
  'replay' | 'replayFromSnapshot' | 'timeline' | 'executionLog' | 'get' | 'find' | 'list'
>

function readingVerbs(env: Environment): ReadingVerbs {
  const get = async (runId: string): Promise<RunRow> => {
    checkId('a run id', runId)
    const row = await env.store.runs.find(runId)
    if (row === undefined) throw runNotFound(runId)
    return row
  }
  const replay = async (runId: string, options: RunOptions, snapshots: boolean): Promise<ReplayedRun> => {
    const definition = env.definitionOf(await get(runId))
    return readFold(env, runId, { definition, snapshots, ...stateOf(options) })
  }
  return {
    replay: (runId, options = {}) => replay(runId, options, false),
    replayFromSnapshot: (runId, options = {}) => replay(runId, options, true),
    timeline: async (runId) => {
      await get(runId)
      return readTimeline(env.store, runId)
    },
    executionLog: async function* (runId, options = {}) {
      const definition = env.definitionOf(await get(runId))
      yield* readExecutionLog(env, runId, definition, stateOf(options)?.initialState)
    },
    get,
    find: async (runId) => {
      checkId('a run id', runId)
      return env.store.runs.find(runId)
    },
    list: (filter = {}, page = {}) => env.store.runs.list(filter, { limit: 100, ...page }),
  }
}

function stateOf({ initialState }: RunOptions): { initialState: Json } | undefined {
  if (initialState === undefined) return undefined
  return { initialState: canonicalize(initialState, { name: 'initialState' }).copy }
}

const DEFAULT_LEASE_MS = 30_000

function environmentOf(options: KernelOptions): Environment {
  const { leaseMs = DEFAULT_LEASE_MS, build, onCommitted, onWarning } = options
  if (!Number.isSafeInteger(leaseMs) || leaseMs < 100) {
    throw new KernelError('INVALID_DEFINITION', `leaseMs must be a whole number from 100, got ${leaseMs}`)
  }
  const warn = (warning: Error): void => {
    if (onWarning === undefined) process.emitWarning(warning)
    else onWarning(warning)
  }
  return {
    store: options.store,
    clock: options.clock ?? systemClock,
    owner: options.owner ?? processOwner(),
    policy: options.policy ?? allowAll,
    limits: { ...defaultLimits, ...options.limits },
    leaseMs,
    onDrift: options.onDrift ?? 'stop',
    buildOf: (definition) => build ?? definition.build,
    definitionOf: createRegistry(options.workflows).definitionOf,
    warn,
    committed: (runId, events) => {
      try {
        onCommitted?.(runId, events)
      } catch (error) {
        // The events are durable; a listener that fails must not undo or repeat anything.
        warn(error as Error)
      }
    },
  }
}
