import { createHash } from 'node:crypto'
import type { SecretContent } from './seal.ts'

/** Ties a reference to its value. The salt keeps it from telling anything about a value that can be guessed. */
export function commitmentOf({ salt, text }: SecretContent): string {
  return createHash('sha256').update(salt).update(text).digest('hex')
}
