import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { checkList, checkOneOf, checkOptions, defaultLimits, shown, type Limits, type NamesOf } from '@varve/store'
import { KernelError, textOf, type Divergence } from '../errors.ts'
import { createGuard, type Guard, type GuardMode } from '../guard/guard.ts'
import { createRegistry, type Registry } from '../kernel/registry.ts'
import { checkNames } from '../known-names.ts'
import { decisionChecker } from '../run/check-decisions.ts'
import { emptySystem } from '../run/system.ts'
import type { RunFold } from '../run/run-fold.ts'
import type { Workflow } from '../workflow/define-workflow.ts'
import { checkBundle } from './bundle-check.ts'
import type { EvidenceWhere, Refusal } from './evidence-error.ts'
import { checkGiven } from './given.ts'
import { lifecycle, type Folding } from './lifecycle.ts'
import { evidenceLimits, type EvidenceLimits } from './limits.ts'
import type { VerifiedRun } from './run-check.ts'

/** What recorded runs are compared with. */
export interface VerifyHistoriesOptions {
  /** The code, as it is given to `createKernel`. */
  readonly workflows: readonly Workflow[]
  /** Limits of the kernel that made the runs, and how much to take of one file. */
  readonly limits?: Partial<Limits & EvidenceLimits>
  /** What happens when a function that has to be pure is not. Default `throw`. */
  readonly guard?: GuardMode
  /** Told of warnings of the guard. Default `process.emitWarning`. */
  readonly onWarning?: (warning: Error) => void
}

const NAMES: NamesOf<VerifyHistoriesOptions> = {
  ...{ workflows: true, limits: true, guard: true, onWarning: true },
}

/** Whether the runs of a file are whole, and whether the code would make the same decisions again. */
export type HistoryVerification =
  | { readonly ok: true; readonly file: string; readonly runs: readonly VerifiedRun[] }
  | {
      readonly ok: false
      readonly file: string
      /** `CODE_CHANGED` or what else the code answers; `WORKFLOW_MISSING`; `UNREADABLE`; or what is wrong with the file. */
      readonly code: string
      /** What is wrong and where, for people. */
      readonly message: string
      /** Absent when the file could not be read. */
      readonly where?: EvidenceWhere
      /** With `CODE_CHANGED`: the first decision that the code would make otherwise. */
      readonly divergence?: Divergence
    }

/**
 * Checks recorded runs against the code, from files alone: what `verifyEvidence` checks, and every decision is asked for again.
 * There is no store here, no executor and no appender. Files are bundles of `kernel.exportEvidence`, or plain histories: the
 * stored events of one run, a line each. A plain history does not show what a fork was copied from.
 *
 * @param files - A folder, of which every `*.jsonl` is taken, or paths of files.
 * @returns one answer per file, in order.
 * @throws KernelError `INVALID_INPUT` when there is no such folder or nothing in it: a check of nothing would always pass; and for options
 * that cannot work. StoreError `INVALID_ARGUMENT` for what is no options.
 */
export async function verifyHistories(
  files: string | readonly string[],
  options: VerifyHistoriesOptions,
): Promise<readonly HistoryVerification[]> {
  checkOptions('the options of verifyHistories', options)
  checkNames('verifyHistories', options, NAMES, 'INVALID_INPUT')
  const { workflows, guard = 'throw', onWarning = (warning: Error) => process.emitWarning(warning) } = options
  checkGiven(() => {
    checkList('workflows', workflows)
    checkOneOf('guard', guard, ['throw', 'warn', 'off'])
    if (typeof files !== 'string') checkList('files', files)
  })
  if (typeof onWarning !== 'function') throw noPart('onWarning', 'a function', onWarning)
  const { definitionOf } = createRegistry(workflows, 'add it to the workflows of verifyHistories')
  const code = { definitionOf, limits: { ...defaultLimits, ...options.limits }, guard: createGuard(guard, onWarning) }
  const limits = evidenceLimits(options.limits)
  const verified: HistoryVerification[] = []
  // One after the other: a folder may hold more histories than there is room for.
  for (const file of await filesOf(files)) verified.push({ file, ...(await verifyFile(file, code, limits)) })
  return verified
}

type FileVerification =
  | { readonly ok: true; readonly runs: readonly VerifiedRun[] }
  | (Omit<Refusal, 'where'> & { readonly where?: EvidenceWhere })

/** The code that a history is compared with. */
interface Code {
  readonly definitionOf: Registry['definitionOf']
  readonly limits: Limits
  readonly guard: Guard
}

interface PinnedRun {
  readonly runId: string
  readonly workflow: string
  readonly version: string
}

async function verifyFile(file: string, code: Code, limits: EvidenceLimits): Promise<FileVerification> {
  // A plain history says only at its end of which version its run is: that one answers for all of it.
  const whole = await checkFile(file, limits, ({ runId }) => lifecycle(runId))
  if (!whole.ok) return whole
  const versions = new Map(whole.runs.map(({ runId, version }) => [runId, version]))
  return checkFile(file, limits, (run) =>
    codeFolding(code, { ...run, version: versions.get(run.runId) ?? run.version }),
  )
}

async function checkFile(
  file: string,
  limits: EvidenceLimits,
  folding: (run: PinnedRun) => Folding,
): Promise<FileVerification> {
  const stream = createReadStream(file)
  try {
    const checked = await checkBundle(stream, { limits, folding, plain: true })
    if (!checked.ok) return checked
    return { ok: true, runs: checked.runs.map(({ provenBy: _, ...run }) => run) }
  } catch (error) {
    if (stream.errored !== error) throw error
    return { ok: false, code: 'UNREADABLE', message: `UNREADABLE: ${file}: ${textOf(error)}` }
  } finally {
    stream.destroy()
  }
}

/** Asks the code for every recorded decision again. */
function codeFolding({ definitionOf, limits, guard }: Code, run: PinnedRun): Folding {
  const fold: RunFold = { system: emptySystem(run.runId), stepper: definitionOf(run).stepper(guard) }
  const checker = decisionChecker(fold, definitionOf(run), limits)
  return { system: fold.system, add: (recorded) => checker.add(recorded), end: () => checker.end() }
}

async function filesOf(files: string | readonly string[]): Promise<readonly string[]> {
  const found = typeof files === 'string' ? await filesIn(files) : files
  // A name with a NUL is none on any system, and no file is even asked for it.
  const wrong = found.find((file: unknown) => typeof file !== 'string' || file.includes('\0'))
  if (wrong !== undefined) throw noPart('each of files', 'the path of a file', wrong)
  if (found.length > 0) return found
  const text = typeof files === 'string' ? `${files} holds no *.jsonl` : 'no file is given'
  throw new KernelError('INVALID_INPUT', `${text}: there is nothing to verify`)
}

function noPart(name: string, what: string, got: unknown): KernelError {
  return new KernelError('INVALID_INPUT', `${name} must be ${what}, got ${shown(got)}`)
}

async function filesIn(folder: string): Promise<readonly string[]> {
  try {
    if ((await stat(folder)).isFile()) return [folder]
    const names = await readdir(folder)
    return names
      .filter((name) => name.endsWith('.jsonl'))
      .sort()
      .map((name) => path.join(folder, name))
  } catch (cause) {
    throw new KernelError('INVALID_INPUT', `${folder} cannot be read: ${textOf(cause)}`, { cause })
  }
}
