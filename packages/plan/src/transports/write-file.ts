import { randomUUID } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { failureOf } from './file-failure.ts'
import { placeToWrite, type Place } from './rooted-path.ts'

const TEMPORARY = /^\.varve-[0-9a-f-]{36}\.tmp$/

/** True for the name of a file that is being written, or that a crash left behind. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name)
}

/** Puts a file into its place, whole and durable, or leaves everything as it was. It keeps the mode of the one that it replaces. */
export async function replaceFile(place: Place, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const { folder, target, mode } = await placeToWrite(place)
  const temporary = path.join(folder, `.varve-${randomUUID()}.tmp`)
  try {
    await filled(temporary, async (file) => {
      await file.writeFile(bytes)
      if (mode !== undefined) await file.chmod(mode & 0o777)
      await file.sync()
    })
    signal.throwIfAborted()
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw failureOf(error, place.shown)
  }
  await syncFolder(folder, place)
}

async function filled(name: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(name, 'wx')
  try {
    await fill(file)
  } finally {
    await file.close()
  }
}

/** The new name is durable when its folder is. Windows opens no folders, and needs no such thing. */
async function syncFolder(folder: string, place: Place): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const file = await open(folder, 'r')
    await file.sync().finally(() => file.close())
  } catch (error) {
    throw failureOf(error, place.shown)
  }
}
