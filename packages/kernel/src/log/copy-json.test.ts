import type { Json } from '@varve/store'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { copyJson } from './copy-json.ts'

test('a copy of JSON is what structuredClone makes of it', () => {
  const anyJson = fc.jsonValue({ maxDepth: 5 }) as fc.Arbitrary<Json>

  fc.assert(
    fc.property(anyJson, (value) => {
      const copy = copyJson(value)

      expect(copy).toStrictEqual(structuredClone(value))
      expect(JSON.stringify(copy)).toBe(JSON.stringify(value))
    }),
  )
})

test('a copy shares nothing with the value, and keeps a property named __proto__ as one', () => {
  const value = JSON.parse('{"list":[{"n":1}],"__proto__":{"n":1},"2":0}') as { list: { n: number }[] }

  const copy = copyJson(value) as typeof value
  copy.list[0]!.n = 2
  copy.list.push({ n: 3 })

  expect(JSON.stringify(value)).toBe('{"2":0,"list":[{"n":1}],"__proto__":{"n":1}}')
  expect(JSON.stringify(copy)).toBe('{"2":0,"list":[{"n":2},{"n":3}],"__proto__":{"n":1}}')
  expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
})
