import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { answered, notApplicable, weaknessNames } from './weaknesses.ts'

const packages = new URL('../../../', import.meta.url)

test('every weakness is answered, or of a part that there is none of, and no other is listed', () => {
  expect([...Object.keys(answered), ...Object.keys(notApplicable)].sort()).toEqual([...weaknessNames].sort())
})

test.for(Object.entries(answered).flatMap(([name, tests]) => tests.map((shown) => [name, ...shown] as const)))(
  '%s is absent: %s',
  ([, , file, title]) => {
    const source = readFileSync(new URL(`${file}.test.ts`, packages), 'utf8')

    // The call of `test` that the title begins, on its line or the next.
    expect(source.replaceAll(/\(\s+'/g, "('").split(`test('${title}',`)).toHaveLength(2)
  },
)
