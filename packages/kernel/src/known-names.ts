import { shown } from '@varve/store'
import { KernelError, type KernelErrorCode } from './errors.ts'
import { isPlain } from './secrets/replace.ts'

/**
 * What nobody reads is passed over in silence: by an effect that is misspelt a payment is made twice. The compiler lets such a
 * name pass where options take part in what is inferred, or were put together before, and JavaScript lets all of them pass. What an
 * instance of a class has besides is its own.
 *
 * @throws KernelError with `code`.
 */
export function checkNames(
  what: string,
  given: object,
  names: readonly string[],
  code: KernelErrorCode = 'INVALID_DEFINITION',
): void {
  if (!isPlain(given)) return
  const unknown = Object.keys(given).find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new KernelError(code, `${what} has no option ${shown(unknown)}, only ${names.join(', ')}`)
}
