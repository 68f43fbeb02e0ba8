import { checkOptions } from '@varve/store'
import type { Kernel } from './kernel.ts'

/** Where verbs that answer by a promise take options that may be left out; those that answer event by event check their own. */
const OPTIONAL = {
  ...{ start: [2], run: [1], follow: [1], recover: [0] },
  ...{ replay: [1], replayFromSnapshot: [1], stateAt: [2], verify: [1] },
  ...{ list: [0, 1], listInterrupts: [0, 1] },
} as const satisfies Places

/** Where they take those that they cannot do without. */
const NEEDED = {
  ...{ resume: [1], signal: [1], cancel: [1], settle: [1], fork: [1], migrate: [1], prune: [0] },
} as const satisfies Places

type Places = { readonly [V in keyof Kernel]?: readonly number[] }

/**
 * The same kernel, whose verbs refuse a text, null or nothing where they take options: what was meant by it would be passed over
 * without a word, or missed in an engine's words.
 */
export function checkingOptions(kernel: Kernel): Kernel {
  const optional = Object.entries(OPTIONAL).map(([verb, places]) => checked(kernel, verb as Checked, places, false))
  const needed = Object.entries(NEEDED).map(([verb, places]) => checked(kernel, verb as Checked, places, true))
  return Object.assign(kernel, ...optional, ...needed) as Kernel
}

type Checked = keyof typeof OPTIONAL | keyof typeof NEEDED

type Verbs = Readonly<Record<Checked, (...args: readonly unknown[]) => Promise<unknown>>>

function checked(kernel: Kernel, verb: Checked, places: readonly number[], isNeeded: boolean): Partial<Kernel> {
  const { [verb]: call } = kernel as Verbs
  const checking: typeof call = (...args) => {
    try {
      for (const at of places) if (isNeeded || args[at] !== undefined) checkOptions(`what ${verb} is given`, args[at])
    } catch (error) {
      const refusal = error as Error
      return Promise.reject(refusal)
    }
    return call(...args)
  }
  return { [verb]: checking }
}
