import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ruleNames, ruleTests } from './rules.ts'
import { weaknesses } from './weaknesses.ts'

/** How often a file calls `test` with that title. */
function testsIn(file: string, title: string): number {
  const source = readFileSync(new URL(`${file}.test.ts`, import.meta.url), 'utf8')
  return source
    .split(/\(\s*'/)
    .slice(1)
    .filter((rest) => rest.startsWith(`${title}', `) || rest.startsWith(`${title}',\n`)).length
}

test('every rule has a test, and no other is listed', () => {
  expect(new Set(ruleTests.map(({ rule }) => rule))).toEqual(new Set(ruleNames))
})

test.for(ruleTests.map(({ rule, file, test: title }) => [rule, file, title] as const))(
  '%s is shown in %s.test.ts: %s',
  ([, file, title]) => {
    expect(testsIn(file, title)).toBe(1)
  },
)

test('every weakness has a test, and no other is listed', () => {
  expect(Object.keys(weaknesses)).toEqual(Array.from({ length: 32 }, (_, i) => `W-${i + 1}`))
})

test.for(
  Object.entries(weaknesses).flatMap(([name, tests]) =>
    tests.map(([why, file, title]) => [name, why, file, title] as const),
  ),
)('%s is absent: %s', ([, , file, title]) => {
  expect(testsIn(file, title)).toBe(1)
})
