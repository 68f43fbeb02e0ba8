import { canonicalJson, isCodedError, isStoreError, StoreError } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import type { Environment } from '../driver/environment.ts'
import { isKernelError, KernelError, textOf } from '../errors.ts'
import { commitmentOf } from './commitment.ts'
import type { KeyProvider } from './secret-keys.ts'
import { checkedKey } from './secret-keys.ts'
import { isPlain, replaceParts } from './replace.ts'
import { NONCE_BYTES, SALT_BYTES, sealSecret, type SecretContent, type SecretKey } from './seal.ts'
import { isMarked, isReserved, markedValue, type SecretReference } from './secret.ts'

/** What sealing secrets needs of a kernel. */
export type SecretsEnvironment = Pick<Environment, 'store' | 'clock' | 'limits' | 'secrets'>

/** A value that came from outside, as it may be recorded once its secrets are kept. */
export interface Entered {
  /** With references in the place of marked values; the given value itself when there were none. */
  readonly value: unknown
  readonly secrets: readonly NewSecret[]
}

/** A secret that is referred to and not kept yet. */
export interface NewSecret extends SecretContent {
  readonly id: string
  readonly path: string
}

const ID_BYTES = 16

/**
 * Replaces what is marked by references. Nothing is written; whoever records the value keeps its secrets before.
 *
 * References may not come from outside, lest somebody has a handler open what he was never given. `known` are those that
 * may all the same.
 *
 * @throws KernelError `INVALID_INPUT` for a reference that was made up, `SECRET_KEY_MISSING` without a key provider;
 * StoreError `NOT_JSON` | `LIMIT_EXCEEDED` for a value that cannot be sealed, or not even read.
 */
export function enter(
  env: SecretsEnvironment,
  value: unknown,
  name: string,
  known: ReadonlySet<string> = NONE,
): Entered {
  if (typeof value !== 'object' || value === null) return { value, secrets: [] }
  try {
    return mayHoldSecrets(value, env.limits.depth) ? entered(env, value, name, known) : { value, secrets: [] }
  } catch (cause) {
    if (isCodedError(cause)) throw cause
    const text = `${name} cannot be read: a part of it throws; turn it into plain JSON first`
    throw new StoreError('NOT_JSON', text, { path: name, cause })
  }
}

function entered(env: SecretsEnvironment, value: object, name: string, known: ReadonlySet<string>): Entered {
  const secrets: NewSecret[] = []
  const visit = (part: object, path: () => string): { readonly replacement: unknown } | undefined => {
    const mark = markedValue(part)
    if (mark !== undefined) {
      const made = newSecret(env, mark.value, path())
      secrets.push(made)
      const replacement: SecretReference = { $secret: made.id, commitment: commitmentOf(made) }
      return { replacement }
    }
    if (isReserved(part) && !known.has((part as SecretReference).$secret)) throw madeUp(path())
    return undefined
  }
  const replaced = replaceParts(value, visit, { name, maxDepth: env.limits.depth })
  return { value: replaced, secrets }
}

const NONE: ReadonlySet<string> = new Set()

/**
 * False for a value of which no part is marked or a reference: most hold none, and to find that out makes nothing.
 *
 * @param room - how deep to look; what nests deeper is not asked about.
 */
export function mayHoldSecrets(value: object, room: number): boolean {
  if (isMarked(value) || isReserved(value)) return true
  if (room < 1) return false
  for (const part of partsOf(value)) {
    if (typeof part === 'object' && part !== null && mayHoldSecrets(part, room - 1)) return true
  }
  return false
}

function partsOf(value: object): readonly unknown[] {
  if (Array.isArray(value)) return value
  return isPlain(value) ? Object.values(value) : []
}

function newSecret({ secrets, limits }: SecretsEnvironment, value: unknown, path: string): NewSecret {
  providerOf(secrets.keys, path)
  const text = canonicalJson(value, { name: path, maxDepth: limits.depth })
  const id = Buffer.from(secrets.randomBytes(ID_BYTES)).toString('hex')
  return { id, path, text, salt: secrets.randomBytes(SALT_BYTES) }
}

function providerOf(keys: KeyProvider | undefined, path: string): KeyProvider {
  if (keys !== undefined) return keys
  const text = `${path} is a secret and this kernel has no keys; give it some: createKernel({ secrets: { keys } })`
  throw new KernelError('SECRET_KEY_MISSING', text, { path })
}

function madeUp(path: string): KernelError {
  const text =
    `${path} holds a reference to a secret, which nobody may pass in; ` +
    'mark a value with secret(value), or give a name and let the step make a secretRef of it'
  return new KernelError('INVALID_INPUT', text, { path })
}

/**
 * Seals secrets and puts them into the store: before the append or post that refers to them. When that does not come, because
 * the process dies in between, they are garbage that nobody can find and nobody can read without the key.
 *
 * @throws KernelError `SECRET_KEY_MISSING` when the provider has no usable key; StoreError `LIMIT_EXCEEDED`, or what the store
 * throws. Nothing refers to what was kept until then.
 */
export async function keepSecrets(env: SecretsEnvironment, secrets: readonly NewSecret[]): Promise<void> {
  const [first] = secrets
  if (first === undefined) return
  const key = await currentKey(env, first.path)
  const sealed = secrets.map((each) => {
    const bytes = sealSecret(each.id, key, each, env.secrets.randomBytes(NONCE_BYTES))
    checkSize(env, each.path, bytes)
    return { id: each.id, bytes }
  })
  await Promise.all(sealed.map(({ id, bytes }) => repeatable(env, () => env.store.secrets.put(id, bytes))))
}

async function currentKey({ secrets }: SecretsEnvironment, path: string): Promise<SecretKey> {
  const provider = providerOf(secrets.keys, path)
  try {
    return checkedKey(await provider.current())
  } catch (cause) {
    if (isKernelError(cause)) throw cause
    const text = `the key provider has no current key: ${textOf(cause)}`
    throw new KernelError('SECRET_KEY_MISSING', text, { cause, retryable: true })
  }
}

function checkSize({ limits }: SecretsEnvironment, path: string, { byteLength }: Uint8Array): void {
  if (byteLength <= limits.sealedBytes) return
  const text = `${path} has ${byteLength} bytes when it is sealed, ${limits.sealedBytes} are allowed; keep it outside and pass a reference`
  throw new StoreError('LIMIT_EXCEEDED', text, { path })
}

/**
 * Does what refers to the secrets, after they are kept. When that is refused for certain, they are erased again; what may
 * have happened keeps them.
 */
export async function withSecrets<T>(
  env: SecretsEnvironment,
  secrets: readonly NewSecret[],
  act: () => Promise<T>,
  isRefused: (error: unknown) => boolean | Promise<boolean> = isRefusal,
): Promise<T> {
  if (secrets.length === 0) return act()
  await keepSecrets(env, secrets)
  try {
    return await act()
  } catch (error) {
    if (await isRefused(error)) await eraseUnused(env, secrets)
    throw error
  }
}

/** Erases secrets that nothing refers to; best effort. */
export async function eraseUnused({ store }: SecretsEnvironment, secrets: readonly NewSecret[]): Promise<void> {
  await Promise.allSettled(secrets.map(({ id }) => store.secrets.erase(id)))
}

/** True for an error after which no post and no run refers to anything. */
export function isRefusal(error: unknown): boolean {
  if (isKernelError(error)) return error.code === 'RUN_NOT_FOUND' || error.code === 'RUN_TERMINAL'
  return isStoreError(error, 'INBOX_FULL') || isStoreError(error, 'HEAD_CONFLICT')
}
