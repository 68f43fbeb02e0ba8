import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { contentId, sha256 } from './content-id.ts'

test('names bytes by their sha256', () => {
  const bytes = new Uint8Array([0, 255, 1])

  expect(contentId(bytes)).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
})

test('a string counts as its UTF-8 bytes', () => {
  expect(contentId('né 𝒳')).toBe(contentId(new TextEncoder().encode('né 𝒳')))
})

test('nothing at all has the well-known hash', () => {
  expect(sha256('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})
