import { createPublicKey, sign as signBytes, verify as verifyBytes, KeyObject } from 'node:crypto'
import { canonicalJson, shown, type LogEnd } from '@varve/store'
import { KernelError } from '../errors.ts'
import type { BundleSignature } from './bundle-line.ts'

/** Signs by a key that does not leave its place, such as a key management service. */
export interface EvidenceSigner {
  /** The Ed25519 key that fits the signatures. */
  readonly publicKey: KeyObject
  /** Answers the 64 bytes of the Ed25519 signature of `message`. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array> | Uint8Array
}

/** What a signature says: that this was the run's log at that time, by the signer's clock, and this the whole bundle. */
export interface Statement {
  readonly runId: string
  readonly end: LogEnd
  /** sha256 of all lines of the bundle before the last ones. */
  readonly digest: string
  /** Unix milliseconds. */
  readonly signedAt: number
}

/** Before anything is written for it to sign. @throws KernelError `INVALID_INPUT` for what can sign nothing. */
export function checkSigner(by: KeyObject | EvidenceSigner): void {
  const given = by as Partial<EvidenceSigner> | null
  const signer = isKey(by) ? signerOf(by) : given
  if (typeof signer?.sign !== 'function') {
    const text = `sign must be a private key of node:crypto, or { publicKey, sign(message) }, got ${shown(by)}`
    throw new KernelError('INVALID_INPUT', text)
  }
  publicText(signer.publicKey as KeyObject)
}

/** @throws KernelError `INVALID_INPUT` for a key that is none, or a signer whose signatures do not fit its key. */
export async function signStatement(statement: Statement, by: KeyObject | EvidenceSigner): Promise<BundleSignature> {
  const signer = isKey(by) ? signerOf(by) : by
  const publicKey = publicText(signer.publicKey)
  const value: unknown = await signer.sign(messageOf(statement))
  if (!(value instanceof Uint8Array)) {
    throw new KernelError('INVALID_INPUT', `\`sign\` must answer the 64 bytes of a signature, got ${shown(value)}`)
  }
  const signature = { signedAt: statement.signedAt, publicKey, value: Buffer.from(value).toString('base64url') }
  if (isSignatureOf(statement, signature)) return signature
  const text = `the signature that \`sign\` made does not fit its public key; nothing can be proven with it`
  throw new KernelError('INVALID_INPUT', text, { runId: statement.runId })
}

/** True when the signature is that of its own public key; whether that is to be trusted is another question. */
export function isSignatureOf(statement: Statement, { publicKey, value }: BundleSignature): boolean {
  // More than one text decodes to the same bytes; only one of them was written.
  if (![publicKey, value].every((text) => Buffer.from(text, 'base64url').toString('base64url') === text)) return false
  try {
    return verifyBytes(null, messageOf(statement), keyOf(publicKey), Buffer.from(value, 'base64url'))
  } catch {
    return false
  }
}

/** True when the signature was made by one of the keys. @throws KernelError `INVALID_INPUT` for keys of another kind. */
export function isSignedBy({ publicKey }: BundleSignature, keys: readonly KeyObject[]): boolean {
  return keys.some((key) => publicText(key) === publicKey)
}

function messageOf({ runId, end, digest, signedAt }: Statement): Uint8Array {
  const { seq, hash } = end
  return Buffer.from(`varve/evidence/1\n${canonicalJson({ runId, seq, hash, digest, signedAt })}`)
}

function isKey(by: KeyObject | EvidenceSigner): by is KeyObject {
  return by instanceof KeyObject
}

function signerOf(key: KeyObject): EvidenceSigner {
  if (key.type !== 'private') throw notEd25519('sign', `a ${key.type} key`)
  return { publicKey: createPublicKey(key), sign: (message) => signBytes(null, message, key) }
}

/** The raw public key, base64url. */
export function publicText(key: KeyObject): string {
  if (!(key instanceof KeyObject)) throw notEd25519('a key', typeof key)
  if (key.asymmetricKeyType !== 'ed25519') throw notEd25519('a key', key.asymmetricKeyType ?? `a ${key.type} key`)
  const { x } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' })
  return x as string
}

function keyOf(publicKey: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
}

function notEd25519(what: string, found: string): KernelError {
  return new KernelError('INVALID_INPUT', `${what} must be an Ed25519 key of node:crypto, got ${found}`)
}
