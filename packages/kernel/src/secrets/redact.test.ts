import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { redactJson, redactorOf } from './redact.ts'

const long = fc.string({ unit: 'grapheme', minLength: 6, maxLength: 30 }).filter((text) => text.isWellFormed())

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
        expect(redactJson(value as never, (text) => text)).toBe(value)
      }),
    )
  })

  test('loses numbers that are secrets, also as texts, and keeps longer ones', () => {
    const { redact } = redactorOf([{ pan: 4111111111111111 }, '123456'])

    expect(redactJson([4111111111111111, 123456, 91234567, 12345], redact)).toEqual([
      '[secret]',
      '[secret]',
      91234567,
      12345,
    ])
  })

  test('loses secrets in its texts and in the names of its properties', () => {
    const { redact } = redactorOf(['abcdef'])

    expect(redactJson({ abcdef: 1, list: ['x abcdef', { y: 'abcdef' }], n: 2 }, redact)).toEqual({
      '[secret]': 1,
      list: ['x [secret]', { y: '[secret]' }],
      n: 2,
    })
  })
})
