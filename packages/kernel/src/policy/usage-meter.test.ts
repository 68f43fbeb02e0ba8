import fc from 'fast-check'
import { expect, test } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { usageMeter } from './usage-meter.ts'

const where = { runId: 'r', key: 'k' }
const quiet = (): void => undefined

test('amounts of one name add up, others stand beside them', () => {
  const { use, close } = usageMeter(where, quiet)

  use({ tokens: 100, cents: 0.5 })
  use({ tokens: 20 })
  use({})

  expect(close()).toEqual({ usage: { tokens: 120, cents: 0.5 } })
})

test('nothing reported is nothing to record', () => {
  expect(usageMeter(where, quiet).close()).toEqual({})
})

test.for<[what: string, amounts: unknown]>([
  ['a negative amount', { tokens: -1 }],
  ['NaN', { tokens: Number.NaN }],
  ['Infinity', { tokens: Number.POSITIVE_INFINITY }],
  ['a text', { tokens: '5' }],
  ['a BigInt', { tokens: 5n }],
  ['nothing for an amount', { tokens: undefined }],
  ['an amount that no log can hold', { tokens: 2 ** 53 }],
  ['an empty name', { '': 1 }],
  ['a name with a space', { 'input tokens': 1 }],
  ['a name that objects keep for themselves', JSON.parse('{"__proto__":1}') as unknown],
  ['a name that is too long', { ['x'.repeat(101)]: 1 }],
  ['too many names', Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`n${i}`, 1]))],
  ['no object', 5],
  ['a list', [5]],
  ['null', null],
])('%s is refused, and nothing of that report counts', ([, amounts]) => {
  const { use, close } = usageMeter(where, quiet)
  use({ tokens: 1 })

  expect(() => {
    use({ first: 1, ...(amounts as object) })
    use(amounts as Record<string, number>)
  }).toThrow(
    expect.objectContaining({ ...kernelError('INVALID_INPUT'), where: expect.objectContaining(where) as object }),
  )

  const { tokens } = close().usage ?? {}
  expect(tokens).toBe(1)
})

test('an error names the amount by its path', () => {
  const { use } = usageMeter(where, quiet)

  expect(() => {
    use({ tokens: -1 })
  }).toThrow(expect.objectContaining({ where: { ...where, path: 'usage.tokens' } }))
})

test('a sum that no log can hold is refused', () => {
  const { use, close } = usageMeter(where, quiet)
  use({ tokens: Number.MAX_SAFE_INTEGER })

  expect(() => {
    use({ tokens: 1 })
  }).toThrow(expect.objectContaining(kernelError('INVALID_INPUT')))
  expect(close().usage).toEqual({ tokens: Number.MAX_SAFE_INTEGER })
})

test('what is reported when the attempt is over is warned of and does not count', () => {
  const warnings: Error[] = []
  const { use, close } = usageMeter(where, (warning) => warnings.push(warning))
  use({ tokens: 1 })

  const recorded = close()
  use({ tokens: 7 })

  expect(recorded).toEqual({ usage: { tokens: 1 } })
  expect(warnings).toMatchObject([kernelError('INVALID_INPUT')])
  expect(warnings[0]?.message).toContain('{"tokens":7}')
})

test('the sum is that of all reports, whatever they are', () => {
  const amounts = fc.dictionary(fc.constantFrom('tokens', 'constructor', 'a/b'), fc.nat())
  fc.assert(
    fc.property(fc.array(amounts), (reports) => {
      const { use, close } = usageMeter(where, quiet)
      for (const report of reports) use(report)

      const { usage = {} } = close()

      for (const name of ['tokens', 'constructor', 'a/b']) {
        const sum = reports.reduce((total, report) => total + (Object.hasOwn(report, name) ? report[name]! : 0), 0)
        expect(Object.hasOwn(usage, name) ? usage[name] : 0).toBe(sum)
      }
    }),
  )
})

test('a name that holds a secret of the input is recorded without, with a warning, and amounts add up', () => {
  const warnings: string[] = []
  const redact = (text: string): string => text.replaceAll('topsecret', '[secret]').replaceAll('openai', '[secret]')
  const { use, close } = usageMeter(where, (warning) => warnings.push(warning.message), redact)

  use({ 'topsecret.calls': 1, tokens: 5 })
  use({ 'openai.calls': 2 })

  expect(close()).toEqual({ usage: { 'secret.calls': 3, tokens: 5 } })
  expect(warnings).toHaveLength(2)
  expect(warnings.join()).not.toMatch(/topsecret|openai/)
})
