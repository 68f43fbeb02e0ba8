import type { Json } from '@varve/store'
import { expect, test } from 'vitest'
import { isPlanError, type PlanError } from '../errors.ts'
import { checkValues, type ValuePolicy } from './value-policy.ts'

const strict: ValuePolicy = { secrets: 'refuse', numbers: 'integers' }

/** The error that a check ends with; undefined for none. */
function errorOf(value: Json, policy: ValuePolicy): PlanError | undefined {
  try {
    checkValues('manifest', value, policy)
    return undefined
  } catch (error) {
    if (isPlanError(error)) return error
    throw error
  }
}

test('a secret is refused with its path and what to do, and without its value', () => {
  const error = errorOf({ params: { apiKey: 'hunter2' } }, strict)

  expect(error).toMatchObject({
    code: 'SECRET_IN_MANIFEST',
    where: { path: 'manifest.params.apiKey' },
    retryable: false,
  })
  expect(error?.message).toBe(
    'SECRET_IN_MANIFEST: manifest.params.apiKey looks like a secret: it is called api key; ' +
      'refer to it with secretRef(), or if it is none, allow it in the config by secrets: { allow: ["manifest.params.apiKey"] }',
  )
})

test('a number that is not exact is refused with its path and what to do, and without its value', () => {
  const error = errorOf({ params: { rate: 0.5771 } }, strict)

  expect(error).toMatchObject({ code: 'INEXACT_NUMBER', where: { path: 'manifest.params.rate' } })
  expect(error?.message).toMatch(
    /^INEXACT_NUMBER: manifest.params.rate is no whole number .*smaller unit.* numbers: 'any' in the config/,
  )
  expect(error?.message).not.toContain('0.5771')
})

test.for<readonly [policy: ValuePolicy, code: string | undefined]>([
  [strict, 'SECRET_IN_MANIFEST'],
  [{ secrets: 'refuse', numbers: 'any' }, 'SECRET_IN_MANIFEST'],
  [{ secrets: 'allow', numbers: 'integers' }, 'INEXACT_NUMBER'],
  [{ secrets: { allow: [] }, numbers: 'any' }, 'SECRET_IN_MANIFEST'],
  [{ secrets: { allow: ['manifest.password'] }, numbers: 'integers' }, 'INEXACT_NUMBER'],
  [{ secrets: { allow: ['manifest.password'] }, numbers: 'any' }, undefined],
  [{ secrets: 'allow', numbers: 'any' }, undefined],
])('with %j a password and a fraction are %s', ([policy, code]) => {
  expect(errorOf({ rate: 0.5, password: 'hunter2' }, policy)?.code).toBe(code)
})

test('the path that an error names is the one that allows it', () => {
  const value = { 'a b': [{ secret: 'hunter2' }] }
  const path = errorOf(value, strict)?.where.path

  expect(errorOf(value, { ...strict, secrets: { allow: [path!] } })).toBeUndefined()
})

test('a policy may stand in the value that it is for', () => {
  const policies: readonly ValuePolicy[] = [
    strict,
    { secrets: { allow: ['manifest.params.password'] }, numbers: 'any' },
  ]

  for (const policy of policies)
    expect(errorOf({ policy: policy as unknown as Json, seconds: 1 }, strict)).toBeUndefined()
})
