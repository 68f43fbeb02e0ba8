import { expect, test } from 'vitest'
import type * as errors from './errors.ts'
import { CodedError, isCodedError, isStoreError, StoreError } from './errors.ts'

/** A second installed copy of this package has classes of its own. */
async function secondCopy(): Promise<typeof errors> {
  const address = './errors.ts?second-copy'
  return (await import(/* @vite-ignore */ address)) as typeof errors
}

class OtherError extends CodedError<'FENCED'> {
  constructor() {
    super('Other', 'FENCED', 'not of the store')
  }
}

test('an error shows its code first, and carries where, cause and whether to try again', () => {
  const cause = new Error('socket closed')

  const error = new StoreError('STORE_BUSY', 'try again', { runId: 'r', seq: 3, retryable: true, cause })

  expect(error.message).toBe('STORE_BUSY: try again')
  expect(error.name).toBe('StoreError')
  expect(error).toMatchObject({ code: 'STORE_BUSY', retryable: true, where: { runId: 'r', seq: 3 } })
  expect(error.cause).toBe(cause)
})

test('an error is not to be tried again unless it says so, and has no cause unless one is given', () => {
  const error = new StoreError('FENCED', 'gone')

  expect(error.retryable).toBe(false)
  expect('cause' in error).toBe(false)
  expect(error.where).toEqual({})
})

test('our own error is recognised, with its code and without', () => {
  const error = new StoreError('FENCED', 'gone')

  expect(isStoreError(error)).toBe(true)
  expect(isStoreError(error, 'FENCED')).toBe(true)
  expect(isStoreError(error, 'HEAD_CONFLICT')).toBe(false)
})

test('an error of a subclass is recognised', () => {
  class SqliteError extends StoreError {}

  expect(isStoreError(new SqliteError('STORE_FAILED', 'disk full'), 'STORE_FAILED')).toBe(true)
})

test('an error of a second installed copy is recognised, where instanceof fails', async () => {
  const copy = await secondCopy()

  const foreign = new copy.StoreError('FENCED', 'gone')

  expect(foreign).not.toBeInstanceOf(StoreError)
  expect(isStoreError(foreign, 'FENCED')).toBe(true)
  expect(copy.isStoreError(new StoreError('FENCED', 'gone'))).toBe(true)
})

test.for<[what: string, lookAlike: unknown]>([
  [
    'an error with the same name and code',
    Object.assign(new Error('FENCED: x'), { name: 'StoreError', code: 'FENCED' }),
  ],
  ['a plain object', { code: 'FENCED', message: 'FENCED: x', retryable: false, where: {} }],
  ['an error of Node', Object.assign(new Error('x'), { code: 'ENOENT' })],
  ['an error of another layer with the same code', new OtherError()],
  ['nothing', undefined],
  ['null', null],
  ['text', 'FENCED'],
])('%s is not taken for an error of the store', ([, lookAlike]) => {
  expect(isStoreError(lookAlike)).toBe(false)
})

test('every coded error is recognised as one', () => {
  expect(isCodedError(new OtherError())).toBe(true)
  expect(isCodedError(new OtherError(), 'Other', 'FENCED')).toBe(true)
  expect(isCodedError(new OtherError(), 'Store')).toBe(false)
})
