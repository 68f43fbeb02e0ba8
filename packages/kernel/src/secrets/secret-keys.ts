import { checkId } from '@varve/store'
import { KernelError } from '../errors.ts'
import type { SecretKey } from './seal.ts'

/** Where the keys of secrets come from: a file, the environment, a key management service. */
export interface KeyProvider {
  /** The key to seal with from now on. To rotate, answer another one and keep finding the old. */
  readonly current: () => SecretKey | Promise<SecretKey>
  /** The key of this id, 32 bytes; undefined when it is not there (any more). */
  readonly find: (id: string) => Uint8Array | undefined | Promise<Uint8Array | undefined>
}

const KEY_BYTES = 32

/**
 * Keys that are at hand, by id. To rotate, add a key, make it the current one, and keep the old for what they have sealed.
 *
 * @throws KernelError `INVALID_DEFINITION` unless the current one is among them and each has 32 bytes.
 */
export function secretKeys(options: {
  /** Id of the key to seal with. */
  readonly current: string
  readonly keys: Readonly<Record<string, Uint8Array>>
}): KeyProvider {
  const keys = new Map(Object.entries(options.keys).map(([id, key]) => [id, checkedKey({ id, key })]))
  const current = keys.get(options.current)
  if (current === undefined) {
    throw new KernelError('INVALID_DEFINITION', `the current key ${options.current} is not among the keys`)
  }
  return { current: () => current, find: (id) => keys.get(id)?.key }
}

/** A copy of a key. @throws KernelError `INVALID_DEFINITION`; nothing of the key is in the text. */
export function checkedKey({ id, key }: SecretKey): SecretKey {
  checkId('the id of a key', id)
  if (key instanceof Uint8Array && key.byteLength === KEY_BYTES) return { id, key: Uint8Array.from(key) }
  const text = `the key ${id} must be a Uint8Array of ${KEY_BYTES} bytes, such as randomBytes(32) of node:crypto answers`
  throw new KernelError('INVALID_DEFINITION', text)
}
