import { canonicalJson, isStoreError, type Json } from '@varve/store'
import { failure, refusal } from './transport-error.ts'

/** How bytes are handed over: as the JSON that they spell, as text, or in base64. */
export type ContentForm = 'json' | 'text' | 'base64'

/**
 * Bytes from outside in the form that was asked for. No bytes at all are `null` as JSON.
 *
 * @param charset - the encoding of text; JSON is always UTF-8.
 * @throws ActionError `OUTPUT_NOT_JSON` | `OUTPUT_NOT_TEXT`
 */
export function decodeContent(bytes: Uint8Array, as: ContentForm, what: string, charset = 'utf-8'): Json {
  switch (as) {
    case 'base64':
      return Buffer.from(bytes).toString('base64')
    case 'text':
      return decodeText(bytes, what, charset)
    case 'json':
      return decodeJson(bytes, what)
  }
}

function decodeText(bytes: Uint8Array, what: string, charset: string): string {
  try {
    // Otherwise bytes that are no text would become replacement characters without a word.
    return new TextDecoder(charset, { fatal: true }).decode(bytes)
  } catch {
    throw failure('OUTPUT_NOT_TEXT', `${what} is no text that can be decoded; ask for it as base64`)
  }
}

function decodeJson(bytes: Uint8Array, what: string): Json {
  if (bytes.length === 0) return null
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Json
  } catch {
    throw failure('OUTPUT_NOT_JSON', `${what} is no JSON; ask for it as text`)
  }
}

/**
 * A value as it is sent: canonical, so that every attempt sends the same bytes.
 *
 * @throws ActionError `REQUEST_INVALID` for what is no JSON.
 */
export function encodeJson(value: unknown, name: string): Buffer {
  try {
    return Buffer.from(canonicalJson(value, { name }))
  } catch (error) {
    throw refusal('REQUEST_INVALID', isStoreError(error) ? error.message : `${name} is no JSON`)
  }
}
