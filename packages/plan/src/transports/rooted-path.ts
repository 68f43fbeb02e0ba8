import { constants } from 'node:fs'
import { lstat, open, realpath, stat, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { failureOf } from './file-failure.ts'
import { failure, refusal } from './transport-error.ts'

/** A path that a request names, in the folder that it must not leave. */
export interface Place {
  readonly root: string
  /** Absolute, below the root as far as its text goes. */
  readonly full: string
  /** For errors: as the request wrote it. */
  readonly shown: string
}

/**
 * @throws ActionError `REQUEST_INVALID` for what is no path; `PATH_NOT_ALLOWED` for one that is absolute or climbs.
 */
export function placeWithin(root: string, given: string): Place {
  if (given === '' || given.includes('\0')) throw refusal('REQUEST_INVALID', 'request.path is empty, or holds a NUL')
  const parts = given.split(/[/\\]/)
  if (path.posix.isAbsolute(given) || path.win32.isAbsolute(given) || /^[a-z]:/i.test(given) || parts.includes('..')) {
    throw refusal('PATH_NOT_ALLOWED', `${shownPath(given)}: a path is relative to the root and never climbs with ..`)
  }
  return { root, full: path.join(root, given), shown: shownPath(given) }
}

function shownPath(given: string): string {
  return JSON.stringify(given.length > 200 ? `${given.slice(0, 200)}…` : given)
}

/**
 * Where a place really is.
 *
 * @throws ActionError `FILE_MISSING`; `PATH_NOT_ALLOWED` when a link leads out of the root.
 */
export async function realPathWithin(place: Place): Promise<string> {
  const root = await realpath(place.root).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException
    throw failure('FILE_FAILED', `the root of this transport cannot be opened (${code}); create it first`)
  })
  const real = await realpath(place.full).catch((error: unknown) => {
    throw failureOf(error, place.shown)
  })
  if (isWithin(root, real)) return real
  throw refusal('PATH_NOT_ALLOWED', `${place.shown} is a link that leads out of the root`)
}

/** True for a folder itself and for all below it. Both paths are absolute; compared part by part. */
export function isWithin(folder: string, inner: string): boolean {
  const relative = path.relative(folder, inner)
  return relative === '' || (!path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..')
}

// A pipe that nobody writes to would never open otherwise.
const READING = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW

/** Opens a file for reading and makes sure that what was opened is what lies in the root. */
export async function openWithin(place: Place): Promise<FileHandle> {
  const real = await realPathWithin(place)
  const file = await open(real, READING).catch((error: unknown) => {
    throw failureOf(error, place.shown)
  })
  try {
    const opened = await file.stat()
    if (!opened.isFile()) throw failure('FILE_WRONG_TYPE', `${place.shown} is no file`)
    // A part of the path may have become a link since it was looked at.
    const named = await stat(await realPathWithin(place))
    if (named.dev === opened.dev && named.ino === opened.ino) return file
    throw failure('FILE_FAILED', `${place.shown} was replaced while it was opened`, { kind: 'transient' })
  } catch (error) {
    await file.close()
    throw failureOf(error, place.shown)
  }
}

/** The folder that a file is to be put into, and what is at its place now. */
export async function placeToWrite(
  place: Place,
): Promise<{ folder: string; target: string; mode: number | undefined }> {
  const parent = { ...place, full: path.dirname(place.full) }
  if (!isWithin(place.root, parent.full)) throw refusal('FILE_WRONG_TYPE', `${place.shown} is no file`)
  const folder = await realPathWithin(parent)
  const target = path.join(folder, path.basename(place.full))
  const there = await lstat(target).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw failureOf(error, place.shown)
  })
  if (there !== undefined && !there.isFile()) {
    throw refusal('FILE_WRONG_TYPE', `${place.shown} is no file that could be replaced`)
  }
  return { folder, target, mode: there?.mode }
}
