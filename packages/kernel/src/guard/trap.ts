import { promisify } from 'node:util'

/** What a pure function may not use, by what it should use instead. */
export type TrappedKind = 'clock' | 'randomness' | 'timer' | 'network' | 'process'

/** Something that is trapped. */
export interface Trapped {
  /** As it is written in code, such as `Math.random`. */
  readonly name: string
  readonly kind: TrappedKind
  /** Calls that depend on their arguments alone. */
  readonly isPure?: (args: readonly unknown[], constructed: boolean) => boolean
}

/** Any function or constructor. */
export type Callable = (...args: unknown[]) => unknown

interface TrapState {
  /** Set while a pure function runs: told of what it uses, and may throw. The armed flag of all traps. */
  caught: ((used: Trapped) => void) | undefined
  /** The trap in place of each function; a trap stands for itself. */
  readonly traps: WeakMap<object, Callable>
}

const STATE = Symbol.for('@varve/kernel/guard/1')

/** One for the whole process: installed twice, the kernel must not wrap its own wrappers again and again. */
export function trapState(): TrapState {
  const owner = globalThis as typeof globalThis & { [STATE]?: TrapState | undefined }
  return (owner[STATE] ??= { caught: undefined, traps: new WeakMap() })
}

/** A function that does what another one does, in every respect, unless a pure function calls it. */
export function trapOf(original: Callable, trapped: Trapped): Callable {
  const { traps } = trapState()
  const known = traps.get(original)
  if (known !== undefined) return known
  const trap = Object.hasOwn(original, 'prototype')
    ? constructorTrap(original, trapped)
    : functionTrap(original, trapped)
  // Before its properties are looked at: what Node promisifies is its own promisified form from then on.
  traps.set(original, trap)
  traps.set(trap, trap)
  Object.setPrototypeOf(trap, Object.getPrototypeOf(original) as object | null)
  Object.defineProperties(trap, propertiesOf(original, trapped))
  return trap
}

/** A method has no `prototype` of its own, as the functions of the language. */
function functionTrap(original: Callable, trapped: Trapped): Callable {
  const state = trapState()
  const holder = {
    trap(this: unknown, ...args: unknown[]): unknown {
      if (state.caught !== undefined) state.caught(trapped)
      return Reflect.apply(original, this, args)
    },
  }
  return Reflect.get<typeof holder, 'trap'>(holder, 'trap')
}

function constructorTrap(original: Callable, trapped: Trapped): Callable {
  const state = trapState()
  const { isPure } = trapped
  function trap(this: unknown, ...args: unknown[]): unknown {
    const target = new.target as Callable | undefined
    const constructed = target !== undefined
    if (state.caught !== undefined && isPure?.(args, constructed) !== true) state.caught(trapped)
    if (!constructed) return Reflect.apply(original, this, args)
    return Reflect.construct(original, args, target === trap ? original : target)
  }
  const { prototype } = original as { prototype?: { constructor?: unknown } }
  // `date.constructor === Date` is to hold on.
  if (prototype?.constructor === original) prototype.constructor = trap
  return trap
}

function propertiesOf(original: Callable, trapped: Trapped): PropertyDescriptorMap {
  const properties: PropertyDescriptorMap = Object.getOwnPropertyDescriptors(original)
  const promised = properties[promisify.custom]
  if (typeof promised?.value === 'function') {
    properties[promisify.custom] = { ...promised, value: trapOf(promised.value as Callable, trapped) }
  }
  return properties
}
