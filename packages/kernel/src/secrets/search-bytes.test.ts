import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { searchBytes } from './search-bytes.ts'

test('a text is found wherever chunks begin and end', () => {
  const pieces = fc.record({ before: fc.uint8Array({ maxLength: 20 }), after: fc.uint8Array({ maxLength: 20 }) })
  fc.assert(
    fc.property(pieces, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 60, maxLength: 60 }), (around, sizes) => {
      const bytes = Buffer.concat([around.before, Buffer.from('hunter2-hunter2'), around.after])
      const isFound = searchBytes(['another one', 'hunter2-hunter2'])
      let at = 0
      const found = sizes.some((size) => isFound(bytes.subarray(at, (at += size))))
      expect(found).toBe(true)
    }),
  )
})

test('what only looks like it is not found', () => {
  const isFound = searchBytes(['hunter2-hunter2'])

  for (const part of ['hunter2-', 'hunter1-hunter2', 'hunter2']) expect(isFound(Buffer.from(part))).toBe(false)
})

test('nothing is found where there is nothing to look for', () => {
  expect(searchBytes([])(Buffer.from('hunter2-hunter2'))).toBe(false)
})
