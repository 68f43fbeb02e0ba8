import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ruleNames, ruleTests } from './rules.ts'

test('every rule has a test, and no other is listed', () => {
  expect([...new Set(ruleTests.map(({ rule }) => rule))].sort()).toEqual([...ruleNames].sort())
})

test.for(ruleTests.map(({ rule, file, test: title }) => [rule, file, title] as const))(
  '%s is shown in %s.test.ts: %s',
  ([, file, title]) => {
    const source = readFileSync(new URL(`${file}.test.ts`, import.meta.url), 'utf8')

    expect(source).toContain(`test('${title}', `)
  },
)
