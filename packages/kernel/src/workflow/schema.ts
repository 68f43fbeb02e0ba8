import type { Json } from '@varve/store'
import { KernelError, textOf, type KernelErrorCode } from '../errors.ts'

/**
 * Any validator that follows the Standard Schema interface, version 1 (zod, valibot, arktype, …;
 * https://standardschema.dev). `In` is what callers pass, `Out` what the workflow sees.
 */
export interface Schema<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>
    readonly types?: { readonly input: In; readonly output: Out } | undefined
  }
}

/** What a validation answers. */
export type SchemaResult<Out> =
  { readonly value: Out; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

/** One reason why a value fails its schema. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What callers pass to a schema. */
export type SchemaInput<S> = S extends { readonly '~standard': { readonly types?: infer T } }
  ? NonNullable<T> extends { readonly input: infer In }
    ? In
    : never
  : never

/** What a schema makes of it. */
export type SchemaOutput<S> = S extends { readonly '~standard': { readonly types?: infer T } }
  ? NonNullable<T> extends { readonly output: infer Out }
    ? Out
    : never
  : never

/**
 * Validates, and returns what the schema made of the value.
 *
 * @throws KernelError of the given code, with the path of the first issue; `INVALID_DEFINITION` for a schema that
 * validates asynchronously, since recorded values are checked inside pure functions.
 */
export function parse(schema: Schema, value: unknown, what: string, code: KernelErrorCode): Json {
  const result = validated(schema, value, what)
  if (result instanceof Promise) {
    result.catch(() => undefined)
    throw new KernelError('INVALID_DEFINITION', `the schema of ${what} is asynchronous; use a synchronous one`)
  }
  if (result.issues === undefined) return result.value as Json
  const issue = result.issues[0]
  const path = [what, ...(issue?.path ?? []).map(segment)].join('.')
  throw new KernelError(code, `${path}: ${issue?.message ?? 'does not fit its schema'}`, { path })
}

function validated(schema: Schema, value: unknown, what: string): ReturnType<Schema['~standard']['validate']> {
  try {
    return schema['~standard'].validate(value)
  } catch (cause) {
    throw new KernelError('INVALID_DEFINITION', `the schema of ${what} threw: ${textOf(cause)}`, { cause })
  }
}

function segment(part: PropertyKey | { readonly key: PropertyKey }): string {
  return String(typeof part === 'object' ? part.key : part)
}
