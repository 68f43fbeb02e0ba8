import { expect, test } from 'vitest'
import { isStoreError } from './errors.ts'
import { checkId } from './limits.ts'

test.for(['a', 'order-42', 'größe', '😀', 'with space', 'x'.repeat(200), '__proto__'])('%j is an id', (id) => {
  expect(() => {
    checkId('a run id', id)
  }).not.toThrow()
})

test.for<unknown>(['', 'x'.repeat(201), 'a\nb', '\u0000', 'a\u007f', 'a\u0085', '\ud800', undefined, null, 1, {}])(
  '%j is no id',
  (id) => {
    let caught: unknown

    try {
      checkId('a run id', id)
    } catch (error) {
      caught = error
    }

    expect(isStoreError(caught, 'INVALID_ARGUMENT')).toBe(true)
    expect((caught as Error).message).toContain('a run id')
  },
)
