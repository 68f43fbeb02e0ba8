import { checkNames as checkGivenNames, refusing } from '@varve/store'
import { KernelError, type KernelErrorCode } from './errors.ts'

/**
 * By an effect that is misspelt a payment would be made twice. Actions, their retries and interrupts take part in what is inferred,
 * so the compiler lets a misspelt name pass; it sees nothing at all where options come from a variable, or from JavaScript.
 *
 * @throws KernelError with `code`.
 */
export function checkNames(
  what: string,
  given: object,
  names: Readonly<Record<string, true>>,
  code: KernelErrorCode = 'INVALID_DEFINITION',
): void {
  refusing(
    () => {
      checkGivenNames(what, given, names)
    },
    (text, cause) => new KernelError(code, text, { cause }),
  )
}
