/**
 * Freezes a state with everything in it, so that a function that changes it fails where it does so. What is frozen already
 * is passed over: a state shares most of itself with the one before.
 */
export function frozen(state: unknown): unknown {
  try {
    freeze(state)
  } catch {
    // A getter or a proxy that throws: such a state is refused as soon as it is kept.
  }
  return state
}

function freeze(state: unknown): void {
  if (typeof state !== 'object' || state === null || Object.isFrozen(state) || !isPlain(state)) return
  Object.freeze(state)
  for (const part of Object.values(state)) freeze(part)
}

/** What to do about an error, for its text, where a function has changed what is frozen: V8 says how, and not why. */
export function frozenRemedy(error: unknown): string {
  const isChange =
    error instanceof TypeError && /read only property|not extensible|Cannot delete property/.test(error.message)
  return isChange ? '; states, inputs and results are frozen: answer a changed copy' : ''
}

/** Others, such as a `Buffer`, cannot always be frozen; they are refused as soon as the state is kept. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value) || prototype === Object.prototype || prototype === null
}
