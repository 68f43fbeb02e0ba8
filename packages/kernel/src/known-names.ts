import { shown } from '@varve/store'
import { KernelError } from './errors.ts'

/**
 * Actions, their retries and interrupts take part in what is inferred, so the compiler lets a misspelt name pass: an effect that
 * nobody reads would have a payment made twice. What an instance of a class has besides is its own.
 *
 * @throws KernelError `INVALID_DEFINITION`.
 */
export function checkNames(what: string, given: object, names: readonly string[]): void {
  const made = Object.getPrototypeOf(given) as unknown
  if (made !== Object.prototype && made !== null) return
  const unknown = Object.keys(given).find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new KernelError('INVALID_DEFINITION', `${what} has no option ${shown(unknown)}, only ${names.join(', ')}`)
}
