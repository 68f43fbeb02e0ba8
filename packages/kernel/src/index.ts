// For everybody who runs workflows.
export { createKernel } from './kernel/kernel.ts'
export type { Kernel } from './kernel/kernel.ts'
export type { KernelOptions, RunOptions, StartOptions } from './kernel/options.ts'
export type { AnswerOptions } from './kernel/resume.ts'
export type { RecoveredRun } from './kernel/recover.ts'
export type { BlockedOutcome, Outcome } from './driver/outcome.ts'
export { isKernelError, KernelError } from './errors.ts'
export type { Divergence, KernelErrorCode } from './errors.ts'

// For everybody who writes workflows.
export { defineWorkflow } from './workflow/define-workflow.ts'
export type { StepContext, Workflow } from './workflow/define-workflow.ts'
export type { ActionContext, Effect } from './workflow/action.ts'
export type { Decision, Requests } from './workflow/decision.ts'
export type { Next } from './workflow/next.ts'
export type { ReduceEvent, WorkflowTypes } from './workflow/reduce-event.ts'
export { stateUpdatedReducer } from './workflow/results-state.ts'
export type { ItemResult, ResultsState } from './workflow/results-state.ts'
export type { Schema } from './workflow/schema.ts'
export { ActionError } from './policy/action-error.ts'
export { allowAll, allowList, composePolicies } from './policy/policy.ts'
export type { AttemptFailure, AuthorizeRequest, Denial, Policy } from './policy/policy.ts'
export { retryWithBackoff } from './policy/retry.ts'
export type { RetryOptions } from './policy/retry.ts'

// For everybody who looks at runs.
export type { ErrorInfo, EventData, EventType } from './log/event-data.ts'
export type { LogEvent } from './log/log-event.ts'
export { effectSink } from './views/effects.ts'
export type { Effect as RecordedEffect } from './views/effects.ts'
export type { ExecutionLogEntry } from './views/execution-log.ts'
export type { ReplayedRun } from './views/read-fold.ts'
export type { Timeline, TimelineEntry } from './views/timeline.ts'

// For tests and embedders: what the kernel takes from its surroundings.
export { systemClock } from './clock.ts'
export type { Clock, Timer } from './clock.ts'
export { canRecognizeDead, processOwner } from './owner.ts'
