import { textOf } from '../errors.ts'

/**
 * Tells of warnings by a listener, or as process warnings. A throw of the listener is a process warning, too: many a warning comes
 * when nobody waits any more, and harms no run. Whatever a handler or a listener has thrown comes as an error.
 */
export function tellWarnings(listener: ((warning: Error) => void) | undefined): (warning: Error) => void {
  return (thrown: unknown) => {
    const warning = thrown instanceof Error ? thrown : new Error(`thrown, and no error: ${textOf(thrown)}`)
    try {
      if (listener === undefined) process.emitWarning(warning)
      else listener(warning)
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : textOf(error))
    }
  }
}
