import type { NamesOf } from '@varve/store'
import { checkNamesAndActions, type Definition, type Workflow } from '../workflow/define-workflow.ts'

/** A workflow whose decisions come from a stepper of one's own. */
export interface StepperSpec
  extends
    Pick<Definition, 'name' | 'version' | 'input' | 'stepper' | 'build'>,
    Partial<Pick<Definition, 'actions' | 'interrupts' | 'signals' | 'events'>> {}

const PARTS: NamesOf<StepperSpec> = {
  ...{ name: true, version: true, input: true, stepper: true, build: true },
  ...{ actions: true, interrupts: true, signals: true, events: true },
}

/**
 * Makes a workflow of a stepper: for engines that decide otherwise than by a reducer and a step function. `stepper` is
 * called once for every run that is opened, checked or replayed. What of it has to be pure, it calls through the guard that
 * it is given: the kernel guards none of its methods.
 *
 * The log that it is asked for again must lead it to the same answers: whatever changes them needs another version, and
 * whatever changes the state that it holds another `build`.
 *
 * @throws KernelError `INVALID_DEFINITION`, also for a part that no workflow has.
 */
export function stepperWorkflow<Input = unknown, Output = unknown, State = unknown>(
  spec: StepperSpec,
): Workflow<Input, Output, State> {
  checkNamesAndActions(spec, PARTS)
  const { name, version } = spec
  return { name, version, definition: { actions: {}, interrupts: {}, signals: {}, events: {}, ...spec } }
}
