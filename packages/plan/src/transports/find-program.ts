import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { isWithin } from './rooted-path.ts'
import { refusal } from './transport-error.ts'

/** A program that may be started. */
export interface FoundProgram {
  /** Where it really is. */
  readonly file: string
  /** By which name it was called: some programs do different things under different names. */
  readonly name: string
}

/**
 * Looks a program up, and makes sure that it is allowed by where it really is, and by the name under which it is called.
 *
 * @throws ActionError `PROGRAM_MISSING` | `PROGRAM_NOT_ALLOWED` | `PROGRAM_NOT_EXECUTABLE`
 */
export async function findProgram(program: string, allow: readonly string[]): Promise<FoundProgram> {
  const shown = path.basename(program)
  const found = await places(program)
  if (found === undefined) throw refusal('PROGRAM_MISSING', `there is no program ${shown} at its path`)
  const allowed = (await Promise.all(allow.map(places))).flatMap((each) =>
    each === undefined ? [] : [each.file, each.name],
  )
  const isAllowed = (place: string): boolean => allowed.some((folder) => isWithin(folder, place))
  if (!isAllowed(found.file) || !isAllowed(found.name)) {
    throw refusal(
      'PROGRAM_NOT_ALLOWED',
      `${shown} is not among the allowed programs; add its path to allow if it should be`,
    )
  }
  if (await isExecutable(found.file)) return found
  throw refusal('PROGRAM_NOT_EXECUTABLE', `${shown} is no file that may be executed; check its mode`)
}

/** Where a path leads, and where the link is that it may be. */
async function places(given: string): Promise<FoundProgram | undefined> {
  try {
    const folder = await realpath(path.dirname(given))
    return { file: await realpath(given), name: path.join(folder, path.basename(given)) }
  } catch {
    return undefined
  }
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return (await stat(file)).isFile()
  } catch {
    return false
  }
}
