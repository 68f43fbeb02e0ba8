import fc from 'fast-check'
import { expect, test } from 'vitest'
import { replaceParts } from './replace.ts'

const options = { name: 'value', maxDepth: 100 }

/** No arbitrary value has it. */
const MARK = 'the mark'

/** Replaces objects that are marked by a property with what it holds. */
function replaceMarked(value: unknown, maxDepth = 100): unknown {
  const visit = (part: object) => (MARK in part ? { replacement: part[MARK] } : undefined)
  return replaceParts(value, visit, { name: 'value', maxDepth })
}

test('a value in which nothing is replaced stays the very same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(replaceParts(value, () => undefined, options)).toBe(value)
    }),
  )
})

test('what is replaced is replaced in place, and nothing else changes, not even in the value that was given', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const given = { a: [1, { deep: { [MARK]: value } }, value], b: { [MARK]: null } }
      const before = JSON.stringify(given)

      const replaced = replaceMarked(given)

      expect(replaced).toEqual({ a: [1, { deep: value }, value], b: null })
      expect(JSON.stringify(given)).toBe(before)
    }),
  )
})

test('a visitor is told where it is', () => {
  const paths: string[] = []

  replaceParts(
    { a: [{}, { 'b c': {} }] },
    (_, path) => {
      paths.push(path())
      return undefined
    },
    options,
  )

  expect(paths).toEqual(['value', 'value.a', 'value.a[0]', 'value.a[1]', 'value.a[1]["b c"]'])
})

test('a property that is named __proto__ is a property', () => {
  const given = JSON.parse('{"__proto__":{"the mark":1},"a":{"__proto__":2,"b":{"the mark":3}}}') as object

  const replaced = replaceMarked(given)

  expect(JSON.stringify(replaced)).toBe('{"__proto__":1,"a":{"__proto__":2,"b":3}}')
})

test('a cycle is left for whoever makes the value canonical, however it branches', () => {
  const cycle: Record<string, unknown> = {}
  Object.assign(cycle, { a: cycle, b: cycle, c: { [MARK]: 1 } })

  expect(replaceMarked(cycle)).toBe(cycle)
})

test('instances of classes and what is no object are left as they are', () => {
  const date = new Date(0)
  const given = { date, map: new Map([['x', { [MARK]: 1 }]]), f: replaceMarked, missing: undefined, big: 1n }

  expect(replaceMarked(given)).toBe(given)
})
