import { expect, test } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { secretKeys } from './secret-keys.ts'

const key = (fill: number) => new Uint8Array(32).fill(fill)

test('the current key seals and all are found', async () => {
  const keys = secretKeys({ current: '2', keys: { 1: key(1), 2: key(2) } })

  expect(await keys.current()).toEqual({ id: '2', key: key(2) })
  expect(await keys.find('1')).toEqual(key(1))
  expect(await keys.find('3')).toBe(undefined)
  expect(await keys.find('constructor')).toBe(undefined)
})

test('whoever holds the bytes of a key cannot change it afterwards', async () => {
  const given = key(1)
  const keys = secretKeys({ current: 'k', keys: { k: given } })

  given.fill(9)

  expect(await keys.find('k')).toEqual(key(1))
})

test('keys that cannot work are refused, and nothing of them is in the text', () => {
  const wrong = [
    () => secretKeys({ current: 'k', keys: {} }),
    () => secretKeys({ current: 'k', keys: { other: key(1) } }),
    () => secretKeys({ current: 'k', keys: { k: new Uint8Array(31).fill(77) } }),
    () => secretKeys({ current: 'k', keys: { k: 'passphrase-of-32-characters-long' as never } }),
  ]

  for (const make of wrong) {
    expect(make).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
    expect(make).not.toThrow(/passphrase|77/)
  }
})
