import type { Json } from '@varve/store'
import { repeatable } from '../driver/append.ts'
import { KernelError, textOf } from '../errors.ts'
import { ActionError } from '../policy/action-error.ts'
import { commitmentOf } from './commitment.ts'
import { mayHoldSecrets, type SecretsEnvironment } from './entering.ts'
import { redactorOf, type Redactor } from './redact.ts'
import { replaceParts } from './replace.ts'
import { keyIdOf, openSecret, type SecretContent } from './seal.ts'
import { checkedKey } from './secret-keys.ts'
import { asNamed, asReference, type SecretReference } from './secret.ts'

/** A handler's input with its secrets in place. Lives as long as the attempt, and is never recorded. */
export interface OpenedInput extends Redactor {
  readonly input: Json
}

/** True for an input that a handler cannot be given as it is recorded. */
export function hasSecrets(input: Json): boolean {
  if (typeof input !== 'object' || input === null || !mayHoldSecrets(input, Infinity)) return false
  let found = false
  visitSecrets(input, () => {
    found = true
    return null
  })
  return found
}

async function openInput(env: SecretsEnvironment, input: Json, signal: AbortSignal): Promise<OpenedInput> {
  const needed = new Map<string, () => Promise<Json>>()
  visitSecrets(input, (key, reference) => {
    needed.set(key, () => (typeof reference === 'string' ? resolved(env, reference, signal) : valueOf(env, reference)))
    return null
  })
  const opened = new Map<string, Json>()
  await Promise.all([...needed].map(async ([key, open]) => opened.set(key, await open())))
  const inPlace = visitSecrets(input, (key) => opened.get(key) ?? null)
  return { input: inPlace, ...redactorOf([...opened.values()]) }
}

/**
 * Opens what an input refers to, for no longer than an attempt may take: neither a store nor a resolver has to settle.
 *
 * @throws ActionError, not executed, `TIMEOUT`; `SECRET_GONE` for a value that was erased, and what a resolver throws.
 * @throws KernelError `SECRET_KEY_MISSING` | `SECRET_CORRUPT` | `SECRET_UNRESOLVED` for what has to be mended first.
 */
export async function openInputWithin(
  env: SecretsEnvironment,
  input: Json,
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number | undefined },
): Promise<OpenedInput> {
  if (timeoutMs === undefined) return openInput(env, input, signal)
  const over = new AbortController()
  return new Promise((resolve, reject) => {
    const timer = env.clock.schedule(timeoutMs, () => {
      const text = `the secrets of its input were not there within ${timeoutMs} ms`
      const timedOut = new ActionError('transient', text, { code: 'TIMEOUT', notExecuted: true })
      reject(timedOut)
      over.abort(timedOut)
    })
    const cancel = (): void => {
      timer.cancel()
    }
    signal.addEventListener('abort', cancel, { once: true })
    openInput(env, input, AbortSignal.any([signal, over.signal]))
      .then(resolve, reject)
      .finally(cancel)
  })
}

/** Puts something in the place of each secret that a recorded value refers to: a name, or a reference. */
function visitSecrets(value: Json, put: (key: string, reference: string | SecretReference) => Json): Json {
  const visit = (part: object): { readonly replacement: Json } | undefined => {
    const reference = asReference(part as Json)
    if (reference !== undefined) {
      return { replacement: put(`sealed ${reference.$secret} ${reference.commitment}`, reference) }
    }
    const name = asNamed(part as Json)
    return name === undefined ? undefined : { replacement: put(`named ${name}`, name) }
  }
  return replaceParts(value, visit, { name: 'input', maxDepth: Infinity }) as Json
}

async function valueOf(env: SecretsEnvironment, reference: SecretReference): Promise<Json> {
  const opened = await openReference(env, reference)
  if (opened !== undefined) return JSON.parse(opened.text) as Json
  const text = `the secret ${reference.$secret} was erased, so what needs it cannot be done any more`
  throw new ActionError('permanent', text, { code: 'SECRET_GONE', notExecuted: true })
}

/**
 * A sealed value, checked against its reference; undefined when it is gone.
 *
 * @throws KernelError `SECRET_KEY_MISSING` | `SECRET_CORRUPT`.
 */
export async function openReference(
  env: SecretsEnvironment,
  { $secret: id, commitment }: SecretReference,
): Promise<SecretContent | undefined> {
  const sealed = await repeatable(env, () => env.store.secrets.get(id))
  if (sealed === undefined) return undefined
  const key = await keyFor(env, id, sealed)
  const content = openSecret(id, key, sealed)
  if (content === undefined || commitmentOf(content) !== commitment) throw corrupt(id)
  return content
}

function corrupt(id: string): KernelError {
  const text = `the sealed secret ${id} is not what the log refers to; restore the secrets of the store from a backup`
  return new KernelError('SECRET_CORRUPT', text)
}

async function keyFor({ secrets }: SecretsEnvironment, id: string, sealed: Uint8Array): Promise<Uint8Array> {
  const keyId = keyIdOf(sealed)
  if (keyId === undefined) throw corrupt(id)
  if (secrets.keys === undefined) {
    const text = `the secret ${id} is needed and this kernel has no keys; give it some: createKernel({ secrets: { keys } })`
    throw new KernelError('SECRET_KEY_MISSING', text)
  }
  let key: Uint8Array | undefined
  try {
    key = await secrets.keys.find(keyId)
  } catch (cause) {
    const text = `the key provider did not answer for the key of secret ${id}: ${textOf(cause)}`
    throw new KernelError('SECRET_KEY_MISSING', text, { cause, retryable: true })
  }
  if (key !== undefined) return checkedKey({ id: keyId, key }).key
  const text = `the key ${JSON.stringify(keyId)} that secret ${id} was sealed with is not there; add it to the key provider`
  throw new KernelError('SECRET_KEY_MISSING', text)
}

async function resolved({ secrets }: SecretsEnvironment, name: string, signal: AbortSignal): Promise<string> {
  const where = `the secret named ${JSON.stringify(name)}`
  if (secrets.resolve === undefined) {
    const text = `${where} is needed and this kernel resolves none; give it createKernel({ secrets: { resolve } })`
    throw new KernelError('SECRET_UNRESOLVED', text)
  }
  let value: unknown
  try {
    value = await secrets.resolve(name, { signal })
  } catch (cause) {
    throw unresolved(where, cause)
  }
  if (typeof value === 'string') return value
  throw new KernelError('SECRET_UNRESOLVED', `${where} was resolved to something that is no text; mend secrets.resolve`)
}

/** A resolver asks the outside world as a handler does, and says in the same way whether trying again may help. */
function unresolved(where: string, thrown: unknown): ActionError {
  const { kind = 'permanent', retryAfterMs } = (thrown ?? {}) as Partial<ActionError>
  const hint = typeof retryAfterMs === 'number' && { retryAfterMs }
  const options = { code: 'SECRET_UNRESOLVED', notExecuted: true, cause: thrown, ...hint }
  return new ActionError(kind, `${where} could not be resolved: ${textOf(thrown)}`, options)
}
