import { ActionError } from '@varve/kernel'
import { failure } from './transport-error.ts'

/** What a path leads to. */
export type FileKind = 'file' | 'folder' | 'link' | 'other'

/** Works for what `stat` says and for entries of a folder. */
export function kindOf(found: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): FileKind {
  if (found.isFile()) return 'file'
  if (found.isDirectory()) return 'folder'
  return found.isSymbolicLink() ? 'link' : 'other'
}

/** The machine is out of something for now. */
const TRANSIENT = new Set(['EAGAIN', 'EBUSY', 'EINTR', 'EMFILE', 'ENFILE', 'ENOMEM', 'ETIMEDOUT'])

const WRONG_TYPE = new Set(['EISDIR', 'ENOTDIR', 'ELOOP', 'ENXIO'])

/** What the file system said, without the absolute path, which is none of the plan's business; anything else as it is. */
export function failureOf(error: unknown, shown: string): Error {
  const { code, syscall } = error as NodeJS.ErrnoException
  // Reasons of signals have codes, too.
  if (error instanceof ActionError || code === undefined || syscall === undefined) return error as Error
  if (code === 'ENOENT') return failure('FILE_MISSING', `${shown} does not exist`)
  if (WRONG_TYPE.has(code)) return failure('FILE_WRONG_TYPE', `${shown} is not of the kind that is needed (${code})`)
  const kind = TRANSIENT.has(code) ? 'transient' : 'permanent'
  return failure('FILE_FAILED', `${shown}: the file system refused (${code})`, { kind })
}
