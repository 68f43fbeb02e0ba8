import { randomBytes } from 'node:crypto'
import type { KeyProvider } from './secret-keys.ts'

/** How a kernel keeps secrets. */
export interface SecretsOptions {
  /** Keys to seal and open secrets with; without them a run takes none. */
  readonly keys?: KeyProvider
  /**
   * The value that a `secretRef` names, asked for each time a handler that gets it is called; never recorded. What it throws
   * is a failed attempt in which nothing was executed, so an `ActionError` says whether trying again may help.
   */
  readonly resolve?: (name: string, options: { readonly signal: AbortSignal }) => string | Promise<string>
  /** Makes ids, salts and nonces. Default: the system's generator. */
  readonly randomBytes?: (size: number) => Uint8Array
}

/** {@link SecretsOptions} with their defaults. */
export type SecretsSetup = SecretsOptions & Required<Pick<SecretsOptions, 'randomBytes'>>

/** The options with their defaults. */
export function secretsSetup(options: SecretsOptions = {}): SecretsSetup {
  return { randomBytes, ...options }
}
