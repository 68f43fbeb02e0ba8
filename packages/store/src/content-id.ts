import { hash } from 'node:crypto'

/** The name of immutable bytes: `sha256:` and 64 hex digits. */
export type ContentId = `sha256:${string}`

/** Names bytes by their content; a string counts as its UTF-8 bytes. */
export function contentId(content: string | Uint8Array): ContentId {
  return `sha256:${sha256(content)}`
}

const CONTENT_ID = /^sha256:[0-9a-f]{64}$/

/** True for what {@link contentId} can have made. */
export function isContentId(value: unknown): value is ContentId {
  return typeof value === 'string' && CONTENT_ID.test(value)
}

/** sha256 as 64 lower-case hex digits. */
export function sha256(content: string | Uint8Array): string {
  return hash('sha256', content, 'hex')
}
