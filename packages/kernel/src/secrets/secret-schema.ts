import { z } from 'zod'
import { canonicalize, isStoreError, type Json } from '@varve/store'
import { isKernelError } from '../errors.ts'
import { parse, type Schema } from '../workflow/schema.ts'
import { redactorOf } from './redact.ts'
import { asNamed, asReference, markedValue, type Secret } from './secret.ts'

/**
 * The schema of a secret, for inputs, signals, answers and events; usable inside of zod's schemas and on its own. Whoever passes
 * a value in has to mark it with `secret(value)`, and the given schema checks what is marked; inside of a run the reference
 * passes. The value is kept as it was given: what the schema makes of it is dropped.
 *
 * @example
 * ```ts
 * const input = z.object({ user: z.string(), token: secretSchema(z.string().min(20)) })
 * await kernel.start(sync, { user: 'ada', token: secret(process.env.TOKEN) })
 * ```
 */
export function secretSchema<T>(inner: Schema<T, unknown>): z.ZodType<Secret<T>, Secret<T>> {
  return z.custom<Secret<T>>().superRefine((value, ctx) => {
    const issue = issueOf(inner, value)
    if (issue !== undefined) ctx.addIssue({ code: 'custom', message: issue })
  })
}

function issueOf(inner: Schema, value: unknown): string | undefined {
  const mark = markedValue(value)
  if (mark === undefined) {
    const isReference = asReference(value as Json) !== undefined || asNamed(value as Json) !== undefined
    return isReference ? undefined : 'must be marked as a secret: secret(value)'
  }
  try {
    const { copy } = canonicalize(mark.value, { name: 'the secret' })
    return jsonIssueOf(inner, copy)
  } catch (error) {
    if (isStoreError(error)) return error.message
    throw error
  }
}

function jsonIssueOf(inner: Schema, value: Json): string | undefined {
  try {
    parse(inner, value, 'the secret', 'INVALID_INPUT')
    return undefined
  } catch (error) {
    if (!isKernelError(error, 'INVALID_INPUT')) throw error
    // A schema may put what it refuses into its message.
    return redactorOf([value]).redact(error.message.slice('INVALID_INPUT: '.length))
  }
}
