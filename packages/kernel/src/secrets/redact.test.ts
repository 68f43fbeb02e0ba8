import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { redactJson, redactorOf } from './redact.ts'

const long = fc.string({ unit: 'grapheme', minLength: 6, maxLength: 30 }).filter((text) => text.isWellFormed())

function onUrl(change: (url: URL) => unknown): string {
  const url = new URL('https://x.test/')
  change(url)
  return url.href
}

describe('a text', () => {
  test('loses every secret of at least 6 characters, wherever it stands', () => {
    fc.assert(
      fc.property(long, fc.string(), fc.string(), (secret, before, after) => {
        const { redact } = redactorOf([secret])

        // What is put in its place must not complete it anew.
        fc.pre(!`[secret]${after}`.includes(secret) && !`${before}[secret]`.includes(secret))
        expect(redact(`${before}${secret}${after}`)).not.toContain(secret)
      }),
    )
  })

  test('loses a secret as it stands in JSON, in a URL, in base64 and in hex', () => {
    const secret = 'pä"ss\n/word+1'
    const { redact } = redactorOf([secret])

    for (const spelling of [
      JSON.stringify({ secret }),
      `https://x/?token=${encodeURIComponent(secret)}&n=1`,
      `Basic ${Buffer.from(secret).toString('base64')}`,
      Buffer.from(secret).toString('base64url'),
      Buffer.from(secret).toString('hex'),
    ]) {
      expect(redact(spelling)).toContain('[secret]')
    }
    expect(redact(JSON.stringify({ secret }))).toBe('{"secret":"[secret]"}')
  })

  test.for([
    ['a query', (s: string) => new URLSearchParams({ s }).toString()],
    ['a query that is set', (s: string) => onUrl((url) => url.searchParams.set('token', s))],
    ['a query that is written', (s: string) => new URL(`https://x.test/?t=${s}`).href],
    ['a path', (s: string) => onUrl((url) => (url.pathname = `/a/${s}/b`))],
    ['the part behind it', (s: string) => onUrl((url) => (url.hash = s))],
    ['a user of a URL', (s: string) => onUrl((url) => (url.username = s))],
    ['a password of a URL', (s: string) => onUrl((url) => (url.password = s))],
    ['a user of basic access', (s: string) => `Basic ${Buffer.from(`${s}:`).toString('base64')}`],
    ['a password of basic access', (s: string) => `Basic ${Buffer.from(`ada:${s}`).toString('base64')}`],
    ['a password of another user', (s: string) => `Basic ${Buffer.from(`ada.l:${s}`).toString('base64url')}`],
    ['upper case hex', (s: string) => Buffer.from(s).toString('hex').toUpperCase()],
    ['JSON in JSON', (s: string) => JSON.stringify(JSON.stringify({ s }))],
  ] as const)('loses a secret as it stands in %s', ([, spell]) => {
    const { redact } = redactorOf(['p@ss (word)!'])

    expect(redact(spell('p@ss (word)!'))).toContain('[secret]')
    expect(redact(spell('something else'))).not.toContain('[secret]')
  })

  test('loses a secret in base64, whatever stands around it', () => {
    fc.assert(
      fc.property(long, fc.string(), fc.string(), (secret, before, after) => {
        const { redact } = redactorOf([secret])

        expect(redact(Buffer.from(`${before}${secret}${after}`).toString('base64'))).toContain('[secret]')
      }),
    )
  })

  test('loses every part of a secret that has parts, also numbers, and the longest first', () => {
    const { redact } = redactorOf([{ user: 'ada', keys: ['abcdef', 'abcdefgh'], pin: 12345678 }])

    expect(redact('ada has abcdefgh and abcdef and 12345678')).toBe('ada has [secret] and [secret] and [secret]')
  })

  test('keeps what is shorter than 6 characters, which would be found everywhere', () => {
    expect(redactorOf(['12345', '', true, null]).redact('12345 true null')).toBe('12345 true null')
  })
})

describe('a JSON value', () => {
  test('without secrets stays the very same', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(redactJson(value as never, redactorOf([]))).toBe(value)
      }),
    )
  })

  test('with thousands of texts is looked through for thousands of secrets at once', () => {
    const secrets = Array.from({ length: 4000 }, (_, i) => `customer-${i}@example.test`)
    const rows = secrets.map((_, id) => ({ id: `order ${id}`, state: 'sent' }))

    expect(redactJson(rows, redactorOf(secrets))).toBe(rows)
    expect(redactJson([...rows, 'to customer-7@example.test'], redactorOf(secrets))).toEqual([...rows, 'to [secret]'])
  })

  test('loses numbers that are secrets, also as texts, and keeps longer ones', () => {
    const redactor = redactorOf([{ pan: 4111111111111111 }, '123456'])

    expect(redactJson([4111111111111111, 123456, 91234567, 12345], redactor)).toEqual([
      '[secret]',
      '[secret]',
      91234567,
      12345,
    ])
  })

  test('loses secrets in its texts and in the names of its properties', () => {
    const redactor = redactorOf(['abcdef'])

    expect(redactJson({ abcdef: 1, list: ['x abcdef', { y: 'abcdef' }], n: 2 }, redactor)).toEqual({
      '[secret]': 1,
      list: ['x [secret]', { y: '[secret]' }],
      n: 2,
    })
  })
})
