import { watch, type FSWatcher } from 'node:fs'

/**
 * When to look after a write, in ms: a log is written before it is flushed, and only what is flushed is a commit that others
 * see. So the later it shows, the longer it took, and the less a longer pause adds.
 */
const LOOKS_MS = [0, 1, 2, 3, 5, 8, 12, 18]

/** Looks follow each other no sooner than this, however many writes there are. */
const LEAST_MS = 1

/**
 * Looks whenever the system tells of a write to a database's log, ours or another process's, and a few times after. A hint
 * and no more: where files cannot be watched, or the system tells of nothing, nothing happens.
 *
 * @param file - of the database; its log lies beside it.
 * @returns what ends it.
 */
export function onLogWrites(file: string, look: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  let lookedAt = -Infinity
  const lookAt = (step: number): void => {
    look()
    lookedAt = performance.now()
    lookLater(step + 1)
  }
  const lookLater = (step: number): void => {
    clearTimeout(timer)
    const ms = (LOOKS_MS[step] ?? Infinity) - (LOOKS_MS[step - 1] ?? 0)
    timer = Number.isFinite(ms) ? setTimeout(lookAt, ms, step).unref() : undefined
  }
  const watcher = watching(`${file}-wal`, () => {
    if (performance.now() - lookedAt >= LEAST_MS) lookAt(0)
    else lookLater(1)
  })
  return () => {
    clearTimeout(timer)
    watcher?.close()
  }
}

/** Undefined where it cannot be watched: there may be no such means, or none left. */
function watching(file: string, written: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(file, { persistent: false }, (kind) => {
      if (kind === 'change') written()
    })
    return watcher.on('error', () => {
      watcher.close()
    })
  } catch {
    return undefined
  }
}
