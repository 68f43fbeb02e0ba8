import { clockTime, HOURS_PER_DAY } from '../flights/flight.ts'
import type { Arguments } from './arguments.ts'

/** What nothing that starts no run would ask for. */
const OF_A_RUN = ['since', 'explain', 'killAfter', 'killAtEvent', 'approve', 'reject', 'new', 'atOnce'] as const

/** To make an hour again takes its time, and to load again takes the file. */
const OF_WHAT_RUNS_AGAIN = ['pace', 'data'] as const

/** An option, by its name in code. */
type OptionName = keyof Arguments | 'approve' | 'reject'

/**
 * What the command line asks for that cannot be done together, or would be passed over.
 *
 * @param isNamed - true for an option that the command line names.
 * @returns which options, and why; undefined when there is nothing.
 */
export function contradictionIn(
  options: Omit<Arguments, 'dataNamed'>,
  isNamed: (option: OptionName) => boolean,
): string | undefined {
  const { store, verify, remake, killAfter, since = 0 } = options
  const outlives = (['killAfter', 'killAtEvent', 'verify', 'remake'] as const).find(isNamed)
  if (outlives !== undefined && store === 'memory') {
    return `${written(outlives)} needs a store that outlives the process: leave out '--store memory'`
  }
  const unused = (remake ? OF_A_RUN : [...OF_A_RUN, ...OF_WHAT_RUNS_AGAIN]).find(isNamed)
  if ((verify ?? remake) && unused !== undefined) {
    const checking = remake ? '--remake' : '--verify'
    return `${written(unused)} is nothing to ${checking}, which checks the newest run and starts none: leave out one of them`
  }
  const hours = HOURS_PER_DAY - since
  if (killAfter === undefined || killAfter <= hours) return undefined
  return `--kill-after ${killAfter} is never reached with --since ${since}: from ${clockTime(since)} on there are ${hours} hourly results`
}

/** As the command line has it: `--kill-after`. */
function written(option: OptionName): string {
  return `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
