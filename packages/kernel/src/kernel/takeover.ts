import { genesis, type LogEnd, type StoredEvent } from '@varve/store'
import type { Environment } from '../driver/environment.ts'
import { isKernelError, KernelError } from '../errors.ts'
import { RecordedEvent } from '../log/recorded-event.ts'
import { decisionChecker } from '../run/check-decisions.ts'
import { emptySystem } from '../run/system.ts'
import type { Definition } from '../workflow/define-workflow.ts'

/** A version that is to go on with the log of another one. */
export interface Takeover {
  readonly runId: string
  readonly from: string
  readonly to: string
}

/** Why a version cannot go on with a log that another one wrote; anything but a divergence is left as it is. */
export function cannotTakeOver(error: unknown, { runId, from, to }: Takeover): unknown {
  if (!isKernelError(error, 'CODE_CHANGED') || error.divergence === undefined) return error
  const { divergence } = error
  const { seq, path } = divergence
  const text =
    `version ${to} cannot go on with run ${runId}: it decides otherwise than recorded at seq ${seq} (${path}); ` +
    `make it decide the same up to there, or leave the run on version ${from}`
  return new KernelError('CODE_CHANGED', text, { runId, seq, path, divergence, cause: error })
}

/** Asks a version for every decision in a copied log. @throws KernelError `CODE_CHANGED`, or what the code throws. */
export function checkCopy(
  env: Environment,
  definition: Definition,
  events: readonly StoredEvent[],
  takeover: Takeover,
): void {
  const runId = events[0]?.runId ?? ''
  const checker = decisionChecker(
    { system: emptySystem(runId), stepper: definition.stepper(env.guard) },
    definition,
    env.limits,
  )
  let end: LogEnd = genesis(runId)
  try {
    for (const stored of events) {
      checker.add(new RecordedEvent(end, stored))
      end = stored
    }
    checker.end()
  } catch (error) {
    throw cannotTakeOver(error, takeover)
  }
}
