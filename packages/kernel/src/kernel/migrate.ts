import { checkId, isStoreError, isTerminal, sealEvent, type Claim, type Json, type ReleaseRequest } from '@varve/store'
import { appendSettled } from '../driver/append.ts'
import { loadRun } from '../driver/load-run.ts'
import type { Outcome } from '../driver/outcome.ts'
import { asLogEvent } from '../log/log-event.ts'
import { applyEvent, type RunFold } from '../run/run-fold.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { moveRun, type KernelParts } from './parts.ts'
import { findRun, runTerminal } from './post.ts'
import { cannotTakeOver } from './takeover.ts'

/** Where a run is to go on. */
export interface MigrateOptions {
  /** A registered version of the run's workflow. */
  readonly to: string
  /** State before the first event, for a log that begins without `RunStarted`. */
  readonly initialState?: unknown
  /** False: record the migration and return at once. Default true. */
  readonly wait?: boolean
}

interface Migration {
  readonly runId: string
  readonly definition: Definition
  readonly initialState?: Json
}

/**
 * Moves a run to another version of its workflow: asks the new code for every decision in the log, records the migration,
 * and drives the run on. A run that is of that version already is driven on.
 */
export async function migrateRun(
  kernel: KernelParts,
  runId: string,
  { to, wait }: Omit<MigrateOptions, 'initialState'>,
  state?: { readonly initialState: Json },
): Promise<Outcome> {
  const { env, drives } = kernel
  checkId('a version', to)
  const row = await findRun(env, runId)
  const { workflow, version } = row
  const definition = env.definitionOf({ runId, workflow, version: to })
  if (version !== to) {
    if (isTerminal(row.status)) throw runTerminal(row)
    const migration: Migration = { runId, definition, ...state }
    // First without a lease: a refusal disturbs nobody.
    let checked: RunFold | undefined = await checkedFold(kernel, migration, version)
    await unlessMigrated(kernel, migration, () =>
      drives.exclusively(runId, async (claim) => {
        const isWhole = checked?.system.end.seq === claim.head
        const fold = checked !== undefined && isWhole ? checked : await checkedFold(kernel, migration, version)
        // Used once: what is recorded changes it.
        checked = undefined
        return record(kernel, migration, fold, claim)
      }),
    )
  }
  return wait === false ? { status: 'running', runId } : moveRun(kernel, runId, state)
}

/** A run that another caller migrated, and that has ended since, is where it should be. */
async function unlessMigrated(
  { env }: KernelParts,
  { runId, definition }: Migration,
  migrate: () => Promise<void>,
): Promise<void> {
  try {
    await migrate()
  } catch (error) {
    if (!isStoreError(error, 'RUN_TERMINAL')) throw error
    const row = await findRun(env, runId)
    if (row.version !== definition.version) throw runTerminal(row)
  }
}

/** Folds the whole log as the new version does, and asks it for every decision again. @throws KernelError `CODE_CHANGED`. */
async function checkedFold({ env }: KernelParts, migration: Migration, from: string): Promise<RunFold> {
  const { runId, definition } = migration
  try {
    const { fold } = await loadRun(env, runId, { ...migration, check: true, snapshots: false })
    return fold
  } catch (error) {
    throw cannotTakeOver(error, { runId, from, to: definition.version })
  }
}

async function record(
  { env }: KernelParts,
  { runId, definition }: Migration,
  fold: RunFold,
  claim: Claim,
): Promise<ReleaseRequest> {
  const { system } = fold
  const expectedHead = system.end.seq
  const { version, problem, status } = await findRun(env, runId)
  if (isTerminal(status)) throw runTerminal({ runId, status })
  // Another process did it in the meantime.
  if (version === definition.version) return { expectedHead, ...(problem && { problem }) }
  const data = { fromVersion: version, toVersion: definition.version }
  const at = Math.max(env.clock.now(), system.at)
  const sealed = sealEvent(runId, system.end, { type: 'Migrated', data }, at, env.limits)
  applyEvent(fold, asLogEvent(sealed))
  // Due at once: the new code may want more than the old one did.
  const run = { status: 'running', blockedOn: [], wakeAt: 0, version: definition.version } as const
  await appendSettled(env, runId, [sealed.stored], { expectedHead, fencingToken: claim.token, run })
  env.committed(runId, [asLogEvent(sealed)])
  return { expectedHead: system.end.seq }
}
