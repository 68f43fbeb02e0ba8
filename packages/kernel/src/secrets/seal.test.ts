import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { commitmentOf } from './commitment.ts'
import { keyIdOf, NONCE_BYTES, openSecret, SALT_BYTES, sealSecret, type SecretKey } from './seal.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const anyKey: fc.Arbitrary<SecretKey> = fc.record({
  id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
  key: bytes(32),
})
const anyContent = fc.record({
  salt: bytes(SALT_BYTES),
  text: fc.jsonValue().map((value) => JSON.stringify(value)),
})
const anySealing = fc.tuple(fc.string({ minLength: 1, maxLength: 50 }), anyKey, anyContent, bytes(NONCE_BYTES))

/** The bytes with one of their bits turned over. */
function flipped(sealed: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(sealed)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

describe('a sealed value', () => {
  test('opens under its id and with its key to what was sealed, and names the key', () => {
    fc.assert(
      fc.property(anySealing, ([id, key, content, nonce]) => {
        const sealed = sealSecret(id, key, content, nonce)

        const opened = openSecret(id, key.key, sealed)
        expect(opened?.text).toBe(content.text)
        expect(Buffer.from(opened!.salt).equals(content.salt)).toBe(true)
        expect(keyIdOf(sealed)).toBe(key.id)
      }),
    )
  })

  test('does not open with any bit flipped', () => {
    fc.assert(
      fc.property(anySealing, fc.nat(), ([id, key, content, nonce], at) => {
        const sealed = sealSecret(id, key, content, nonce)

        expect(openSecret(id, key.key, flipped(sealed, at % (sealed.length * 8)))).toBe(undefined)
      }),
    )
  })

  test('does not open with a single bit of one value flipped, whichever it is', () => {
    const key = { id: 'k1', key: new Uint8Array(32).fill(1) }
    const sealed = sealSecret('s-1', key, { salt: new Uint8Array(32), text: '"abc"' }, new Uint8Array(12))

    const opening = Array.from({ length: sealed.length * 8 }, (_, bit) =>
      openSecret('s-1', key.key, flipped(sealed, bit)),
    )

    expect(new Set(opening)).toEqual(new Set([undefined]))
  })

  test('does not open cut, or longer than it was', () => {
    const key = { id: 'k1', key: new Uint8Array(32).fill(1) }
    const sealed = sealSecret('s-1', key, { salt: new Uint8Array(32), text: '"abc"' }, new Uint8Array(12))

    for (let length = 0; length < sealed.length; length++) {
      expect(openSecret('s-1', key.key, sealed.subarray(0, length))).toBe(undefined)
    }
    expect(openSecret('s-1', key.key, Uint8Array.of(...sealed, 0))).toBe(undefined)
  })

  test('does not open under another id, so that no value takes the place of another, nor with another key', () => {
    fc.assert(
      fc.property(
        anySealing,
        fc.string({ minLength: 1 }),
        bytes(32),
        ([id, key, content, nonce], otherId, otherKey) => {
          fc.pre(otherId !== id && !Buffer.from(otherKey).equals(key.key))
          const sealed = sealSecret(id, key, content, nonce)

          expect(openSecret(otherId, key.key, sealed)).toBe(undefined)
          expect(openSecret(id, otherKey, sealed)).toBe(undefined)
        },
      ),
    )
  })

  test('holds nothing of the value that can be read, but where it is what the key is named', () => {
    const named: SecretKey = { id: '__proto__', key: new Uint8Array(32).fill(1) }
    const content = { salt: new Uint8Array(SALT_BYTES).fill(2), text: 'null' }
    const values = fc.string({ unit: 'grapheme', minLength: 8 })
    fc.assert(
      fc.property(anySealing, values, ([id, key, { salt }, nonce], value) => {
        const sealed = Buffer.from(sealSecret(id, key, { salt, text: JSON.stringify(value) }, nonce))

        const hidden = sealed.subarray(3 + Buffer.byteLength(key.id) + NONCE_BYTES)
        expect(hidden.includes(value)).toBe(false)
        expect(hidden.includes(Buffer.from(salt))).toBe(false)
      }),
      { examples: [[['s-1', named, content, new Uint8Array(NONCE_BYTES).fill(3)], '__proto__']] },
    )
  })
})

describe('bytes that were never sealed', () => {
  test('are no value, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes(32), (junk, key) => {
        expect(openSecret('s-1', key, junk)).toBe(undefined)
      }),
    )
  })
})

test('a commitment tells values apart, and tells nothing without the salt', () => {
  const [salt, otherSalt] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]

  const commitments = [
    commitmentOf({ salt, text: '"a"' }),
    commitmentOf({ salt, text: '"b"' }),
    commitmentOf({ salt: otherSalt, text: '"a"' }),
  ]

  expect(new Set(commitments).size).toBe(3)
  expect(commitmentOf({ salt, text: '"a"' })).toBe(commitments[0])
  expect(commitments[0]).toMatch(/^[0-9a-f]{64}$/)
})
