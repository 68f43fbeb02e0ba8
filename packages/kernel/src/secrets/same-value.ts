import { canonicalJson, type Json } from '@varve/store'
import { KernelError } from '../errors.ts'
import { commitmentOf } from './commitment.ts'
import type { SecretsEnvironment } from './entering.ts'
import { openReference } from './opening.ts'
import { replaceParts } from './replace.ts'
import { asReference, markedValue, type SecretReference } from './secret.ts'

/**
 * True when a value that came from outside, with its marks, is what was recorded. A secret is the same when it has the
 * recorded commitment under the salt of the recorded one.
 *
 * @throws KernelError `SECRET_GONE` when that cannot be told any more; and as {@link openReference} does.
 */
export async function isSameValue(env: SecretsEnvironment, recorded: Json, given: unknown): Promise<boolean> {
  const marks = marksOf(env, given)
  const references = referencesOf(env, recorded)
  for (const [path, value] of marks) {
    const reference = references.get(path)
    if (reference === undefined || !(await isSameSecret(env, reference, value))) return false
  }
  const replaced = replaceMarks(env, given, (path) => references.get(path))
  return canonicalJson(replaced) === canonicalJson(recorded)
}

async function isSameSecret(env: SecretsEnvironment, reference: SecretReference, value: unknown): Promise<boolean> {
  const opened = await openReference(env, reference)
  if (opened === undefined) {
    const text = `the recorded secret ${reference.$secret} was erased, so nobody can tell whether this value is the same`
    throw new KernelError('SECRET_GONE', text)
  }
  return commitmentOf({ salt: opened.salt, text: canonicalJson(value) }) === reference.commitment
}

const NAME = 'value'

function marksOf(env: SecretsEnvironment, given: unknown): ReadonlyMap<string, unknown> {
  const marks = new Map<string, unknown>()
  replaceMarks(env, given, (path, value) => void marks.set(path, value))
  return marks
}

function replaceMarks(
  env: SecretsEnvironment,
  given: unknown,
  put: (path: string, value: unknown) => unknown,
): unknown {
  const visit = (part: object, path: () => string): { readonly replacement: unknown } | undefined => {
    const mark = markedValue(part)
    return mark && { replacement: put(path(), mark.value) }
  }
  return replaceParts(given, visit, { name: NAME, maxDepth: env.limits.depth })
}

function referencesOf(env: SecretsEnvironment, recorded: Json): ReadonlyMap<string, SecretReference> {
  const references = new Map<string, SecretReference>()
  const visit = (part: object, path: () => string): undefined => {
    const reference = asReference(part as Json)
    if (reference !== undefined) references.set(path(), reference)
  }
  replaceParts(recorded, visit, { name: NAME, maxDepth: env.limits.depth })
  return references
}
