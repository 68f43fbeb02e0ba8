import * as fs from 'node:fs/promises'
import type { Disk } from '../disk.ts'

/** Told before and after each call; the call, or its caller, goes on when the promise resolves. */
export type Pass = (boundary: string) => Promise<void>

type Call = (...args: unknown[]) => Promise<unknown>

/**
 * The file system, with a stop before and after every call. Flushes nothing: here processes die, no machines.
 *
 * @param opened - Gets every file that is opened, for whoever must close those of the dead.
 */
export function watchedDisk(pass: Pass, opened: fs.FileHandle[] = []): Disk {
  const open: Call = async (...args) => {
    const handle = await fs.open(...(args as Parameters<typeof fs.open>))
    opened.push(handle)
    return watchedHandle(handle, pass)
  }
  // With its option it would flush.
  const writeFile: Call = async (file, text) => fs.writeFile(file as string, text as string)
  const others = { open, writeFile } as Readonly<Record<string, Call>>
  return new Proxy(fs, {
    get: (_, name) => watched(String(name), others[String(name)] ?? (Reflect.get(fs, name) as Call), pass),
  })
}

function watched(name: string, call: Call, pass: Pass): Call {
  return async (...args) => {
    await pass(`before ${name}`)
    const answer = await call(...args)
    await pass(`after ${name}`)
    return answer
  }
}

function watchedHandle(handle: fs.FileHandle, pass: Pass): fs.FileHandle {
  return new Proxy(handle, {
    get: (_, name) => {
      const value = Reflect.get(handle, name, handle) as unknown
      if (typeof value !== 'function') return value
      const call: Call = name === 'sync' ? async () => undefined : (value.bind(handle) as Call)
      return name === 'write' ? watched('write', call, pass) : call
    },
  })
}
