import { shown, type RunRow } from '@varve/store'
import { KernelError } from '../errors.ts'
import type { Definition, Workflow } from '../workflow/define-workflow.ts'

/** Finds the code of a run. */
export interface Registry {
  /** @throws KernelError `WORKFLOW_MISSING` with what is registered. */
  readonly definitionOf: (row: Pick<RunRow, 'runId' | 'workflow' | 'version'>) => Definition
  /** The version asked for, or the one registered last. @throws KernelError `WORKFLOW_MISSING`. */
  readonly definitionFor: (run: {
    readonly runId: string
    readonly workflow: string
    readonly version?: string
  }) => Definition
  /** @throws KernelError `INVALID_DEFINITION` for what is no workflow; `WORKFLOW_MISSING` unless the very workflow is registered: its runs must find the same code. */
  readonly check: (workflow: Workflow) => void
  /** @throws KernelError `INVALID_DEFINITION` for what is no workflow, and when another one has that name and version. */
  readonly add: (workflow: Workflow) => void
  /** Of all workflows that are registered now. */
  readonly names: () => ReadonlySet<string>
  /** Every version of every workflow that is registered now. */
  readonly versions: () => ReadonlyMap<string, readonly string[]>
}

const TO_ADD = 'add it to the workflows of createKernel, or register it'
const TO_MIGRATE = `${TO_ADD}, or migrate the run to a version that is`

/**
 * @param remedy - what helps where a run's code is missing. Default: what one does with a kernel.
 * @throws KernelError `INVALID_DEFINITION` when a name and version are registered twice.
 */
export function createRegistry(workflows: readonly Workflow[], remedy?: string): Registry {
  const byName = new Map<string, Definition>()
  /** The version registered last, by name. */
  const newest = new Map<string, string>()
  const add: Registry['add'] = (workflow) => {
    checkWorkflow(workflow)
    const { name, version, definition } = workflow
    const known = byName.get(nameOf(name, version))
    if (known === definition) return
    if (known !== undefined) {
      throw new KernelError('INVALID_DEFINITION', `${name}@${version} is registered twice; give one another version`)
    }
    byName.set(nameOf(name, version), definition)
    newest.set(name, version)
  }
  for (const workflow of workflows) add(workflow)
  const find = (
    run: { readonly runId?: string; readonly workflow: string; readonly version: string },
    toDo: string,
  ) => {
    const { runId, workflow, version } = run
    const definition = byName.get(nameOf(workflow, version))
    if (definition !== undefined) return definition
    const registered = [...byName.values()].map((known) => `${known.name}@${known.version}`).join(', ')
    const needed = `${workflow}@${version}`
    const missing = runId === undefined ? `${needed} is` : `run ${runId} needs ${needed}, which is`
    const text = `${missing} not registered here (registered: ${registered === '' ? 'nothing' : registered}); ${toDo}`
    throw new KernelError('WORKFLOW_MISSING', text, { ...(runId !== undefined && { runId }) })
  }
  const definitionOf: Registry['definitionOf'] = (row) =>
    find(row, remedy ?? (newest.has(row.workflow) ? TO_MIGRATE : TO_ADD))
  return {
    add,
    names: () => new Set(newest.keys()),
    versions: () => {
      const versions = new Map<string, string[]>()
      for (const { name, version } of byName.values()) versions.set(name, [...(versions.get(name) ?? []), version])
      return versions
    },
    definitionOf,
    definitionFor: ({ version, ...run }) =>
      find({ ...run, version: version ?? newest.get(run.workflow) ?? 'any' }, TO_ADD),
    check: (workflow) => {
      checkWorkflow(workflow)
      const { name, version, definition } = workflow
      if (find({ workflow: name, version }, TO_ADD) === definition) return
      const text = `${name}@${version} is registered, but by another call of defineWorkflow than the one given; start the one that is registered`
      throw new KernelError('WORKFLOW_MISSING', text)
    },
  }
}

/** The options that a workflow is made of have a name and a version, too. */
function checkWorkflow(workflow: unknown): void {
  const { name, version, definition } = Object(workflow) as { readonly [F in keyof Workflow]?: unknown }
  const { stepper } = Object(definition) as { readonly [F in keyof Definition]?: unknown }
  if (typeof name === 'string' && typeof version === 'string' && typeof stepper === 'function') return
  throw new KernelError('INVALID_DEFINITION', `a workflow must be what defineWorkflow made, got ${shown(workflow)}`)
}

function nameOf(name: string, version: string): string {
  return JSON.stringify([name, version])
}
