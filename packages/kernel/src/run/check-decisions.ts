import { formatPath, type Json, type Limits } from '@varve/store'
import { KernelError, type Divergence } from '../errors.ts'
import { isDecision, type EventData } from '../log/event-data.ts'
import { asLogEvent, type LogEvent } from '../log/log-event.ts'
import type { RecordedEvent } from '../log/recorded-event.ts'
import { recordedLabels } from '../policy/labels.ts'
import type { Denial } from '../policy/policy.ts'
import type { Definition } from '../workflow/define-workflow.ts'
import { decide, type Deciding } from './decide.ts'
import { derivedRunId } from './request-draft.ts'
import { applyRecorded, type RunFold } from './run-fold.ts'

/** Folds a log, and asks the code for its recorded decisions again. */
export interface DecisionChecker {
  /**
   * Takes the next event of the log.
   *
   * @throws KernelError `CODE_CHANGED` | `INVALID_LOG` | what a step throws.
   * @throws StoreError `CORRUPT_LOG`.
   */
  add(recorded: RecordedEvent): void
  /**
   * Says that the log ends here.
   *
   * @returns seq of the last decision, where none was asked again because all of them lie too far back.
   */
  end(): number | undefined
}

/**
 * Compares recorded decisions with what the code decides in their place. Decisions that follow one another are gathered
 * first, since a recorded denial is the policy's verdict on the request that the code makes there, and a recorded reuse is
 * its result.
 *
 * @param from - decisions that end before this seq are folded and not asked again. Default: none.
 */
export function decisionChecker(fold: RunFold, definition: Definition, limits: Limits, from = 1): DecisionChecker {
  const stretch: RecordedEvent[] = []
  let passed: number | undefined
  const recordedAt = (seq: number): RecordedEvent | undefined => stretch[seq - (stretch[0]?.stored.seq ?? seq)]
  // One for all decisions: a long log has many.
  const deciding: Deciding & { at: number; lastSeq?: number | undefined } = {
    definition,
    limits,
    at: 0,
    ...recordedAnswers(fold, recordedAt),
  }
  const flush = (following?: RecordedEvent): void => {
    const last = stretch.at(-1)
    if (last === undefined) return
    if (last.stored.seq < from) {
      passed = stretch[0]?.stored.seq
      for (const recorded of stretch) applyRecorded(fold, recorded)
      stretch.length = 0
      return
    }
    passed = undefined
    deciding.lastSeq = following?.type === 'RunForked' ? following.stored.seq - 1 : undefined
    for (let done = 0; done < stretch.length;) {
      const first = stretch[done] as RecordedEvent
      deciding.at = first.stored.at
      const { events } = decide(fold, deciding)
      if (events.length === 0) throw diverged(fold, first.event, undefined)
      for (const sealed of events) {
        const recorded = recordedAt(sealed.stored.seq)
        if (recorded?.stored.hash !== sealed.stored.hash) {
          throw diverged(fold, (recorded ?? following)?.event, asLogEvent(sealed))
        }
        // Code that decides what no log may hold does so again.
        recorded.check(sealed.data)
      }
      done += events.length
    }
    stretch.length = 0
  }
  return {
    add: (recorded) => {
      if (isDecision(recorded.type)) {
        stretch.push(recorded)
        return
      }
      flush(recorded)
      applyRecorded(fold, recorded)
    },
    end: () => {
      flush()
      return passed
    },
  }
}

type RecordedAnswers = Pick<Deciding, 'verdict' | 'labels' | 'reusable' | 'childRunId' | 'recorded'>

/** What the log says where a live run would ask its policy, or what else is not the code's to say. */
function recordedAnswers(fold: RunFold, recordedAt: (seq: number) => RecordedEvent | undefined): RecordedAnswers {
  return {
    verdict: (_, seq) => {
      const recorded = recordedAt(seq)?.event
      return recorded?.type === 'ActionDenied' ? recordedDenial(recorded.data) : undefined
    },
    labels: (_action, _input, seq) => {
      const recorded = recordedAt(seq)?.event
      const labeled = recorded?.type === 'ActionRequested' || recorded?.type === 'ActionDenied'
      return labeled ? recordedLabels(recorded.data) : {}
    },
    reusable: (_, seq) => {
      const recorded = recordedAt(seq)?.event
      if (recorded?.type !== 'ActionReused') return undefined
      const { output, attempts, from } = recorded.data
      return { output, attempts, from }
    },
    childRunId: (key, seq) => {
      const recorded = recordedAt(seq)?.event
      return recorded?.type === 'ChildStarted' ? recorded.data.childRunId : derivedRunId(fold.system.runId, key)
    },
    recorded: (seq) => {
      // Behind a decision that differs nothing is what was recorded.
      const before = recordedAt(seq - 1)
      return before !== undefined && before.stored.hash !== fold.system.end.hash ? undefined : recordedAt(seq)
    },
  }
}

function recordedDenial({ policy, reason, code }: EventData['ActionDenied']): Denial {
  return { policy, reason, ...(code !== undefined && { code }) }
}

function diverged(fold: RunFold, recorded: LogEvent | undefined, decided: LogEvent | undefined): KernelError {
  const { runId } = fold.system
  const seq = (recorded ?? decided)?.seq ?? fold.system.end.seq + 1
  const divergence: Divergence = {
    seq,
    ...(recorded && { recorded: shown(recorded) }),
    ...(decided && { decided: shown(decided) }),
    path: formatPath(firstDifference(recorded && shown(recorded), decided && shown(decided), ['event']) ?? ['event']),
  }
  const text =
    `the code of run ${runId} decides otherwise than recorded at seq ${seq} (${divergence.path}): ` +
    `the log has ${summary(recorded)}, the code wants ${summary(decided)}; ` +
    'register the version the run started with, or give the changed workflow a new version'
  return new KernelError('CODE_CHANGED', text, { runId, seq, path: divergence.path, divergence })
}

function shown(event: LogEvent): { readonly type: string; readonly data: Json } {
  return { type: event.type, data: event.data as unknown as Json }
}

function summary(event: LogEvent | undefined): string {
  if (event === undefined) return 'nothing'
  const data = JSON.stringify(event.data)
  return `${event.type} ${data.length > 120 ? `${data.slice(0, 119)}…` : data}`
}

/** Path of the first difference between two JSON values, or undefined when they are equal. */
function firstDifference(
  a: unknown,
  b: unknown,
  path: readonly (string | number)[],
): readonly (string | number)[] | undefined {
  if (Object.is(a, b)) return undefined
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return path
  if (Array.isArray(a) !== Array.isArray(b)) return path
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  for (const key of [...keys].sort()) {
    const inner = [...path, Array.isArray(a) ? Number(key) : key]
    const difference = firstDifference((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key], inner)
    if (difference !== undefined) return difference
  }
  return undefined
}
