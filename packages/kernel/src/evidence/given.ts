import { checkList, checkOptions, isFrom, refusing, shown, type LogEnd } from '@varve/store'
import { KernelError } from '../errors.ts'

/** Checks something that a reader of bundles was given. @throws KernelError `INVALID_INPUT`. */
export function checkGiven(check: () => void): void {
  refusing(check, (text, cause) => new KernelError('INVALID_INPUT', text, { cause }))
}

/** What is no list of keys, though it may hold some, would pass for one that trusts nobody. @throws KernelError `INVALID_INPUT`. */
export function checkKeyList(trustedKeys: unknown): void {
  checkGiven(() => checkList('trustedKeys', trustedKeys))
}

/** One that no log can have would pass for the head of another log. @throws KernelError `INVALID_INPUT`. */
export function checkHead(head: LogEnd): void {
  checkGiven(() => checkOptions('head', head))
  const { seq, hash }: { readonly seq: unknown; readonly hash: unknown } = head
  if (!Number.isSafeInteger(seq) || !isFrom(1, seq)) throw noHead('seq', 'a whole number from 1', seq)
  if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash))
    throw noHead('hash', '64 hex digits in lower case', hash)
}

function noHead(name: string, what: string, got: unknown): KernelError {
  return new KernelError('INVALID_INPUT', `${name} of head must be ${what}, got ${shown(got)}`)
}
