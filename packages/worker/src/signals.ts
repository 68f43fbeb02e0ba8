/**
 * Calls back at the first of these signals; at a second one the process ends as it would without us.
 *
 * @returns ends the listening.
 */
export function onSignals(signals: readonly NodeJS.Signals[], act: () => void): () => void {
  const ignore = (): void => {
    for (const signal of signals) process.removeListener(signal, once)
  }
  const once = (): void => {
    ignore()
    act()
  }
  for (const signal of signals) process.on(signal, once)
  return ignore
}
