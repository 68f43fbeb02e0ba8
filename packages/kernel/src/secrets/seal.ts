import { createCipheriv, createDecipheriv } from 'node:crypto'

/** A key and the name under which it is found again. */
export interface SecretKey {
  /** 1-200 characters; stored with every value that the key seals. */
  readonly id: string
  /** 32 bytes, for AES-256. */
  readonly key: Uint8Array
}

/** What is sealed: the salt of the commitment, and the value's canonical JSON. */
export interface SecretContent {
  readonly salt: Uint8Array
  readonly text: string
}

const FORMAT = 1
export const SALT_BYTES = 32
export const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'

/**
 * Seals a value: format, id of the key, nonce, ciphertext, tag. Everything in front of the ciphertext is authenticated, and
 * so is the id under which it is kept, so that no sealed value can take another one's place. The run is not part of it:
 * forks, children and successors open what they were given; that a reference means this value is told by its commitment.
 */
export function sealSecret(
  id: string,
  { key, id: keyId }: SecretKey,
  content: SecretContent,
  nonce: Uint8Array,
): Uint8Array {
  const header = headerOf(keyId, nonce)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(additionalData(header, id))
  return Buffer.concat([
    header,
    cipher.update(content.salt),
    cipher.update(content.text, 'utf8'),
    cipher.final(),
    cipher.getAuthTag(),
  ])
}

/** Id of the key that a value was sealed with; undefined for bytes that are no sealed value of ours. */
export function keyIdOf(sealed: Uint8Array): string | undefined {
  return parts(sealed)?.keyId
}

/** Opens a value; undefined when a single bit of it is not what was sealed under this id and with this key. */
export function openSecret(id: string, key: Uint8Array, sealed: Uint8Array): SecretContent | undefined {
  const found = parts(sealed)
  if (found === undefined) return undefined
  try {
    const decipher = createDecipheriv(CIPHER, key, found.nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(additionalData(found.header, id))
    decipher.setAuthTag(found.tag)
    const opened = Buffer.concat([decipher.update(found.ciphertext), decipher.final()])
    return { salt: opened.subarray(0, SALT_BYTES), text: opened.toString('utf8', SALT_BYTES) }
  } catch {
    return undefined
  }
}

function headerOf(keyId: string, nonce: Uint8Array): Buffer {
  const name = Buffer.from(keyId)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(name.length)
  return Buffer.concat([Buffer.of(FORMAT), length, name, nonce])
}

function additionalData(header: Uint8Array, id: string): Buffer {
  return Buffer.concat([header, Buffer.from(id)])
}

interface Parts {
  readonly header: Buffer
  readonly keyId: string
  readonly nonce: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

function parts(bytes: Uint8Array): Parts | undefined {
  const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (sealed.length < 3 || sealed[0] !== FORMAT) return undefined
  const nonceAt = 3 + sealed.readUInt16BE(1)
  const headerEnd = nonceAt + NONCE_BYTES
  const tagAt = sealed.length - TAG_BYTES
  if (tagAt < headerEnd + SALT_BYTES) return undefined
  return {
    header: sealed.subarray(0, headerEnd),
    keyId: sealed.toString('utf8', 3, nonceAt),
    nonce: sealed.subarray(nonceAt, headerEnd),
    ciphertext: sealed.subarray(headerEnd, tagAt),
    tag: sealed.subarray(tagAt),
  }
}
