import { canonicalJson } from '@varve/store'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { asNamed, asReference, isReserved, markedValue, secret, secretRef } from './secret.ts'

test('a marked value tells nobody what it is', () => {
  const marked = secret('hunter2!')

  const told = [
    inspect(marked, { showHidden: true, depth: 10 }),
    JSON.stringify({ marked }),
    marked as unknown as string,
    Object.entries(marked).join(),
    inspect(Object.getOwnPropertyDescriptors(marked)),
  ]

  expect(told.join('\n')).not.toContain('hunter2!')
  expect(JSON.stringify({ marked })).toBe('{"marked":"[secret]"}')
})

test('a marked value is no JSON: a log that is given one by mistake refuses it', () => {
  expect(() => canonicalJson({ a: secret(1) })).toThrow(expect.objectContaining(storeError('NOT_JSON')))
})

test('a mark is found on what is marked and on nothing else', () => {
  expect(markedValue(secret(null))).toEqual({ value: null })
  for (const other of [null, undefined, 'x', 1, {}, [], { value: () => 1 }]) expect(markedValue(other)).toBe(undefined)
})

test('what stands for a secret in a log is known by its whole shape', () => {
  const reference = { $secret: 's-1', commitment: 'c' }

  expect(asReference(reference)).toEqual(reference)
  expect(asNamed({ $secretRef: 'n' })).toBe('n')
  for (const other of [
    null,
    1,
    'x',
    [],
    {},
    { $secret: 's-1' },
    { ...reference, more: 1 },
    { $secret: 1, commitment: 'c' },
  ]) {
    expect(asReference(other)).toBe(undefined)
  }
  for (const other of [null, [], {}, { $secretRef: 1 }, { $secretRef: 'n', more: 1 }])
    expect(asNamed(other)).toBe(undefined)
})

test('whatever looks like one from afar is reserved', () => {
  expect([{ $secret: 1 }, { $secretRef: null, more: 1 }, { secret: 1 }, {}].map(isReserved)).toEqual([
    true,
    true,
    false,
    false,
  ])
})

test('a name of 1-200 characters makes a reference by name', () => {
  expect(secretRef('stripe')).toEqual({ $secretRef: 'stripe' })
  for (const name of ['', 'x'.repeat(201), 1 as never]) {
    expect(() => secretRef(name)).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
  }
})
