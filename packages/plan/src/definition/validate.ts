import type { Schema } from '@varve/kernel'
import type { Json } from '@varve/store'
import { isPlanError, PlanError, type PlanErrorCode } from '../errors.ts'

/**
 * What a schema makes of a value.
 *
 * @throws PlanError of the given code, with the path of the first issue and without the value; `INVALID_DEFINITION` for a
 * schema that validates asynchronously.
 */
export function validate(
  schema: Schema,
  value: unknown,
  what: string,
  code: PlanErrorCode = 'INVALID_PARAMS',
): unknown {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    result.catch(() => undefined)
    throw new PlanError('INVALID_DEFINITION', `the schema of ${what} is asynchronous; use a synchronous one`)
  }
  if (result.issues === undefined) return result.value
  const issue = result.issues[0]
  const segments = (issue?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))
  const path = [what, ...segments].join('.')
  throw new PlanError(code, `${path}: ${issue?.message ?? 'does not fit its schema'}`, { path })
}

/**
 * What a state sees of a run's params. A run without any has null in its log, which stands for undefined: a schema that refuses the one
 * is asked about the other.
 *
 * @throws PlanError `INVALID_PARAMS` | `INVALID_DEFINITION`.
 */
export function paramsOf(id: string, schema: Schema, params: Json): unknown {
  const what = `params of state ${id}`
  try {
    return validate(schema, params, what)
  } catch (error) {
    if (params !== null || !isPlanError(error, 'INVALID_PARAMS')) throw error
    return validate(schema, undefined, what)
  }
}

/** True for a validator of the Standard Schema interface. */
export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard: unknown = '~standard' in value ? value['~standard'] : undefined
  return (
    typeof standard === 'object' &&
    standard !== null &&
    'validate' in standard &&
    typeof standard.validate === 'function'
  )
}
