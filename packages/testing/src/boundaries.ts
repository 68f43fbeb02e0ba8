import { StoreError } from '@varve/store'
import type { StoreCall } from './wrapped-store.ts'

/**
 * A place where a process can be struck, such as `append:3:after`: what was done, the how manieth time in this process, and
 * on which side of it. What is done is a mutating call of the store by its method's name (of `artifacts` and
 * `cache` with theirs before it: `artifacts.put:1:before`), or what was given to `passing`.
 */
export type BoundaryName = `${string}:${number}:${'before' | 'after'}`

/** What goes wrong in a simulated process. */
export interface ProcessFaults {
  /** Dies at this boundary: at the one of this name, or at the one of this number from 1; 0 is none. */
  readonly crashAt?: BoundaryName | number
  /** The store's calls at these boundaries are made, but their answers are lost: `append:3:after` for that of the third append. */
  readonly loseAnswerAt?: readonly BoundaryName[]
  /** Called at each boundary, before the process dies there; may post as others would, let time pass, or kill for real. */
  readonly onBoundary?: (boundary: BoundaryName, call?: StoreCall) => Promise<void> | void
}

/** Thrown into a simulated process when it dies, and at everything it tries afterwards. */
export class SimulatedCrash extends Error {
  constructor() {
    super('the simulated process has died')
    this.name = 'SimulatedCrash'
  }
}

/** Counts what is done by name, and strikes before and after it. */
export function passBoundaries(
  { crashAt, loseAnswerAt = [], onBoundary }: ProcessFaults,
  isAlive: () => boolean,
  kill: () => void,
) {
  const passed: BoundaryName[] = []
  const counts = new Map<string, number>()
  const stop = async (name: BoundaryName, call?: StoreCall): Promise<void> => {
    if (!isAlive()) throw new SimulatedCrash()
    passed.push(name)
    const number = passed.length
    await onBoundary?.(name, call)
    if (crashAt === name || crashAt === number) kill()
    if (!isAlive()) throw new SimulatedCrash()
  }
  const boundary = async <T>(name: string, act: () => Promise<T>, call?: StoreCall): Promise<T> => {
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    await stop(`${name}:${count}:before`, call)
    const result = await act()
    await stop(`${name}:${count}:after`, call)
    if (loseAnswerAt.includes(`${name}:${count}:after`)) {
      throw new StoreError('UNKNOWN_OUTCOME', `the answer of ${name} ${count} was lost on purpose`)
    }
    return result
  }
  const passing = async <T>(name: string, act: () => T | Promise<T>): Promise<T> => {
    const settled = await boundary(name, () => settle(act))
    if ('error' in settled) throw settled.error
    return settled.value
  }
  const passCall = <T>(call: StoreCall, proceed: () => Promise<T>): Promise<T> =>
    boundary(boundaryNameOf(call), proceed, call)
  return { passed, passCall, passing }
}

/** The method's name; with that of the port where methods of several ports are called alike. */
function boundaryNameOf({ name }: StoreCall): string {
  const [port = '', method = ''] = name.split('.')
  return port === 'artifacts' || port === 'cache' ? name : method
}

/** What throws has passed its second boundary as well, unless it died. */
async function settle<T>(act: () => T | Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await act() }
  } catch (error) {
    if (error instanceof SimulatedCrash) throw error
    return { error }
  }
}
