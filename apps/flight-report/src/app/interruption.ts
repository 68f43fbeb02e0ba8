import os from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** A request to stop, made from outside of the program. */
export interface Interruption {
  readonly signal: AbortSignal
  /** Makes the request, as if the signal had come. */
  readonly interrupt: (name: NodeJS.Signals) => void
  /** What the process exits with then. */
  readonly exitCode: () => number
}

/** Listens for the first SIGINT or SIGTERM; a second one ends the process at once, as if nobody listened. */
export function listenForInterruption(): Interruption {
  const controller = new AbortController()
  let received: NodeJS.Signals = 'SIGINT'
  const interrupt = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) return
    for (const each of SIGNALS) process.off(each, interrupt)
    received = name
    controller.abort()
  }
  for (const each of SIGNALS) process.on(each, interrupt)
  const exitCode = (): number => 128 + os.constants.signals[received]
  return { signal: controller.signal, interrupt, exitCode }
}
