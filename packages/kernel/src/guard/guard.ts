import { KernelError } from '../errors.ts'
import { trapState, type Trapped, type TrappedKind } from './trap.ts'
import { installTraps, renewTraps } from './traps.ts'

/** What happens when a pure function uses the clock, randomness, timers, the network or a process. */
export type GuardMode = 'throw' | 'warn' | 'off'

/** A function of a workflow that has to be pure. */
export interface PureFunction {
  readonly workflow: string
  readonly version: string
  readonly name: 'initialState' | 'reduce' | 'step' | 'cancel'
  /** The event that it was called with. */
  readonly seq?: number | undefined
}

/** Calls a pure function, and sees to it that it is one. */
export type Guard = <T>(where: PureFunction, call: () => T) => T

/** Lets everything pass. */
export const unguarded: Guard = (_, call) => call()

/**
 * Traps what would make a pure function answer otherwise when it is called again: the clock, randomness, timers, `fetch`,
 * processes and threads, as reached through globals and through imports of Node's modules. Armed only while the function
 * runs, so handlers, stores and everything else in the process are free.
 *
 * What somebody took out of the globals before the first kernel was created, such as `const { now } = Date`, escapes it.
 *
 * @param warn - told once per workflow and function, in the mode `warn`.
 */
export function createGuard(mode: GuardMode, warn: (warning: Error) => void): Guard {
  if (mode === 'off') return unguarded
  installTraps()
  const state = trapState()
  const report = mode === 'throw' ? rethrow : warnOnce(warn)
  return (where, call) => {
    renewTraps()
    const outer = state.caught
    let violation: KernelError | undefined
    state.caught = (used) => {
      violation ??= nondeterminism(used, where)
      if (mode === 'throw') throw violation
    }
    try {
      return call()
    } finally {
      state.caught = outer
      // Also when the function caught the error: its answer depends on what it asked for all the same.
      if (violation !== undefined) report(violation, where)
    }
  }
}

function rethrow(violation: KernelError): never {
  throw violation
}

function warnOnce(warn: (warning: Error) => void): (violation: KernelError, where: PureFunction) => void {
  const warned = new Set<string>()
  return (violation, { workflow, version, name }) => {
    const id = `${name} of ${workflow}@${version}`
    if (warned.has(id)) return
    warned.add(id)
    warn(violation)
  }
}

const REMEDIES: Readonly<Record<TrappedKind, string>> = {
  clock: 'use ctx.now in the step, or read the clock in an action',
  randomness: 'use ctx.random() or ctx.uuid() in the step, or an action',
  timer: 'use next.sleep() in the step, or an action',
  network: 'call it in an action',
  process: 'start it in an action',
}

function nondeterminism(used: Trapped, { workflow, version, name, seq }: PureFunction): KernelError {
  const at = seq === undefined ? '' : ` at seq ${seq}`
  const text = `${name} of ${workflow}@${version} uses ${used.name}${at}; it must be pure: ${REMEDIES[used.kind]}`
  return new KernelError('NONDETERMINISM', text, seq === undefined ? {} : { seq })
}
