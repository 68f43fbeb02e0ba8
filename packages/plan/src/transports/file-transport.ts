import { ActionError } from '@varve/kernel'
import { shown, type Json, type NamesOf } from '@varve/store'
import { lstat, opendir, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { PlanError } from '../errors.ts'
import { decodeContent, encodeJson, type ContentForm } from './content.ts'
import { failureOf, kindOf, type FileKind } from './file-failure.ts'
import { openWithin, placeWithin, realPathWithin, type Place } from './rooted-path.ts'
import { checkBound, checkTransport, failure, parseRequest, refusal } from './transport-error.ts'
import type { Transport } from './transport.ts'
import { isTemporary, replaceFile } from './write-file.ts'

/** Which files, and what may be done to them. */
export interface FileTransportOptions {
  /** Absolute path of the folder that nothing leaves. Whoever may change links in it while a call runs is trusted. */
  readonly root: string
  /** Largest file that is read or written, and largest listing, counted in bytes of names. Default 1 MiB. */
  readonly maxBytes?: number
  /** Permits `write`. Default false. */
  readonly write?: boolean
}

/** What to do with one path, which is relative to the root, with `/` between its parts; `.` is the root itself. */
export type FileRequest =
  | { readonly op: 'read'; readonly path: string; readonly as?: ContentForm }
  | { readonly op: 'list'; readonly path: string }
  | { readonly op: 'stat'; readonly path: string }
  /** Replaces the whole file, or nothing. The content is JSON, or with `as` a text, or bytes in base64. */
  | { readonly op: 'write'; readonly path: string; readonly content: Json; readonly as?: ContentForm }

/** What came of it; sizes in bytes, times in Unix milliseconds. */
export type FileResponse =
  | { readonly op: 'read'; readonly size: number; readonly content: Json }
  /** Sorted by name. */
  | { readonly op: 'list'; readonly entries: readonly { readonly name: string; readonly kind: FileKind }[] }
  | { readonly op: 'stat'; readonly kind: 'missing' }
  | { readonly op: 'stat'; readonly kind: FileKind; readonly size: number; readonly modifiedAt: number }
  | { readonly op: 'write'; readonly size: number }

const pathSchema = z.string()
const form = z.enum(['json', 'text', 'base64']).optional()

const requestSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('read'), path: pathSchema, as: form }),
  z.strictObject({ op: z.literal('list'), path: pathSchema }),
  z.strictObject({ op: z.literal('stat'), path: pathSchema }),
  z.strictObject({ op: z.literal('write'), path: pathSchema, content: z.unknown(), as: form }),
])

const OPTIONS: NamesOf<FileTransportOptions> = {
  ...{ root: true, maxBytes: true, write: true },
}

interface Settings {
  readonly root: string
  readonly maxBytes: number
  readonly write: boolean
}

/**
 * The files below one folder. Links are followed as long as they stay in it. A write is whole and durable when it is answered:
 * the content goes to a temporary file beside its place, is flushed, and takes the place.
 *
 * @throws PlanError `INVALID_DEFINITION` for options that can never work.
 */
export function fileTransport(options: FileTransportOptions): Transport<FileRequest, FileResponse> {
  checkTransport('fileTransport', options, OPTIONS)
  const { root, maxBytes = 2 ** 20, write = false } = options
  if (typeof (root as unknown) !== 'string' || !path.isAbsolute(root) || root.includes('\0')) {
    throw new PlanError('INVALID_DEFINITION', 'fileTransport: root must be an absolute path')
  }
  checkBound('fileTransport', 'maxBytes', maxBytes)
  // The text `false`, as an environment has it, would permit it.
  if (typeof (write as unknown) !== 'boolean') {
    throw new PlanError('INVALID_DEFINITION', `fileTransport: write must be true or false, got ${shown(write)}`)
  }
  const settings = { root, maxBytes, write }
  return {
    call: async (given, { signal }) => {
      signal.throwIfAborted()
      const request = parseRequest(requestSchema, given) as FileRequest
      if (request.op === 'write' && !write) {
        throw refusal('WRITE_NOT_ALLOWED', 'this transport only reads; allow writing with the option write')
      }
      const place = placeWithin(root, request.path)
      return answer(request, place, settings, signal)
    },
  }
}

async function answer(
  request: FileRequest,
  place: Place,
  settings: Settings,
  signal: AbortSignal,
): Promise<FileResponse> {
  switch (request.op) {
    case 'read':
      return read(request.as ?? 'json', place, settings, signal)
    case 'list':
      return list(place, settings, signal)
    case 'stat':
      return stat(place)
    case 'write':
      return write(request, place, settings, signal)
  }
}

async function read(as: ContentForm, place: Place, { maxBytes }: Settings, signal: AbortSignal): Promise<FileResponse> {
  const file = await openWithin(place)
  try {
    const { buffer, bytesRead } = await readUpTo(file, maxBytes + 1, signal)
    if (bytesRead > maxBytes) {
      throw failure('OUTPUT_TOO_LARGE', `${place.shown} is larger than ${maxBytes} bytes; raise maxBytes`)
    }
    const bytes = buffer.subarray(0, bytesRead)
    return { op: 'read', size: bytesRead, content: decodeContent(bytes, as, place.shown) }
  } catch (error) {
    throw failureOf(error, place.shown)
  } finally {
    await file.close()
  }
}

/** As much as there is, however large the file said it was. */
async function readUpTo(file: FileHandle, limit: number, signal: AbortSignal) {
  const { size } = await file.stat()
  let buffer = Buffer.alloc(Math.min(size + 1, limit))
  let bytesRead = 0
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead: more } = await file.read({ buffer, offset: bytesRead })
    bytesRead += more
    if (more === 0 || bytesRead === limit) return { buffer, bytesRead }
    if (bytesRead < buffer.length) continue
    const larger = Buffer.alloc(Math.min(buffer.length * 2, limit))
    buffer.copy(larger)
    buffer = larger
  }
}

async function list(place: Place, { maxBytes }: Settings, signal: AbortSignal): Promise<FileResponse> {
  const real = await realPathWithin(place)
  const entries: { name: string; kind: FileKind }[] = []
  let size = 0
  try {
    for await (const entry of await opendir(real)) {
      signal.throwIfAborted()
      if (isTemporary(entry.name)) continue
      size += Buffer.byteLength(entry.name)
      if (size > maxBytes) {
        throw failure('OUTPUT_TOO_LARGE', `the names in ${place.shown} are more than ${maxBytes} bytes; raise maxBytes`)
      }
      entries.push({ name: entry.name, kind: kindOf(entry) })
    }
  } catch (error) {
    throw failureOf(error, place.shown)
  }
  return { op: 'list', entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)) }
}

async function stat(place: Place): Promise<FileResponse> {
  try {
    const found = await lstat(await realPathWithin(place))
    return { op: 'stat', kind: kindOf(found), size: found.size, modifiedAt: Math.trunc(found.mtimeMs) }
  } catch (thrown) {
    const error = failureOf(thrown, place.shown)
    if (error instanceof ActionError && error.code === 'FILE_MISSING') return { op: 'stat', kind: 'missing' }
    throw error
  }
}

type WriteRequest = Extract<FileRequest, { op: 'write' }>

async function write(
  request: WriteRequest,
  place: Place,
  settings: Settings,
  signal: AbortSignal,
): Promise<FileResponse> {
  const bytes = bytesOf(request)
  if (bytes.length > settings.maxBytes) {
    const text = `the content for ${place.shown} is larger than ${settings.maxBytes} bytes; raise maxBytes`
    throw refusal('INPUT_TOO_LARGE', text)
  }
  await replaceFile(place, bytes, signal)
  return { op: 'write', size: bytes.length }
}

function bytesOf({ content, as = 'json' }: WriteRequest): Buffer {
  if (as === 'json') return encodeJson(content, 'request.content')
  if (typeof content !== 'string' || !content.isWellFormed()) {
    throw refusal('REQUEST_INVALID', `request.content must be a text when it is written as ${as}`)
  }
  if (as === 'text') return Buffer.from(content)
  const bytes = Buffer.from(content, 'base64')
  // Node's decoder leaves out what is no base64 without a word.
  if (bytes.toString('base64') === content) return bytes
  throw refusal('REQUEST_INVALID', 'request.content is no base64 with padding')
}
