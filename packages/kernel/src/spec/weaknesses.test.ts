import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openParts, weaknessNames, weaknessTests } from './weaknesses.ts'

const shown = new Set(weaknessTests.map(({ weakness }) => weakness))

test('every weakness has a test, and no other is listed', () => {
  expect([...shown].sort()).toEqual([...weaknessNames].sort())
})

test('what is open is a part of a weakness that is shown otherwise', () => {
  expect(openParts.filter(({ weakness }) => !shown.has(weakness))).toEqual([])
})

test.for(weaknessTests.map(({ weakness, why, file, test: title }) => [weakness, why, file, title] as const))(
  '%s is absent: %s',
  ([, , file, title]) => {
    const source = readFileSync(new URL(`${file}.test.ts`, import.meta.url), 'utf8')

    // The call of `test` or `test.for` that the title begins.
    expect(
      source
        .split(`('${title}', `)
        .slice(0, -1)
        .filter((before) => !before.endsWith('describe')),
    ).not.toEqual([])
  },
)
