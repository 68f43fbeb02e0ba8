import type { ArtifactStore } from '@varve/store'
import { createTestClock } from '@varve/store-contract'
import * as fs from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { Disk } from './disk.ts'
import { artifactsOn } from './file-artifacts.ts'
import { temporaryFolder } from './testing/folder-harness.ts'

/** A path without what differs from run to run. */
function plain(file: string, folder: string): string {
  return path
    .relative(folder, file)
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'U')
    .replaceAll(/\d{13}\./g, 'T.')
    .replace(/[0-9a-f]{2}\/[0-9a-f]{64}/, 'xx/X')
    .replace(/^sha256\/[0-9a-f]{2}$/, 'sha256/xx')
}

/** The file system, which tells what is flushed and renamed. */
function toldDisk(folder: string, told: string[]): Disk {
  return {
    ...fs,
    open: async (...args) => {
      const handle = await fs.open(...args)
      return new Proxy(handle, {
        get: (_, name) => {
          if (name === 'sync') told.push(`flush ${plain(String(args[0]), folder)}`)
          const value = Reflect.get(handle, name, handle) as unknown
          return typeof value === 'function' ? (value.bind(handle) as unknown) : value
        },
      })
    },
    writeFile: async (file, data, options) => {
      const isFlushed = typeof options === 'object' && options?.flush === true
      told.push(`${isFlushed ? 'flush' : 'write'} ${plain(file as string, folder)}`)
      await fs.writeFile(file, data, options)
    },
    rename: async (from, to) => {
      told.push(`rename ${plain(String(from), folder)} to ${plain(String(to), folder)}`)
      await fs.rename(from, to)
    },
  }
}

/** What a call flushes and renames, after an earlier put. */
async function toldOf(
  call: (artifacts: ArtifactStore, folder: string, disk: Disk) => Promise<unknown>,
): Promise<readonly string[]> {
  const folder = await temporaryFolder()
  const clock = createTestClock()
  const told: string[] = []
  const disk = toldDisk(folder, told)
  const artifacts = artifactsOn(disk, { folder, now: clock.now })
  try {
    await artifacts.put(Buffer.from('earlier'))
    clock.advance(1000)
    told.length = 0
    await call(artifacts, folder, disk)
    return told
  } finally {
    await fs.rm(folder, { recursive: true })
  }
}

test('all of an artifact is on disk before it can be seen, and its name before the put is acknowledged', async () => {
  const told = await toldOf(async (artifacts) => artifacts.put(Buffer.from('new')))

  expect(told).toEqual([
    'flush tmp/T.U/U.json',
    'flush tmp/T.U/T.U.bytes',
    'rename tmp/T.U/T.U.bytes to tmp/T.U/T.U.bytes',
    'flush tmp/T.U',
    'rename tmp/T.U to sha256/xx/X',
    'flush sha256/xx',
    'flush sha256',
    'flush ',
    'flush ..',
  ])
})

test.for([
  ['put', async (artifacts: ArtifactStore) => artifacts.put(Buffer.from('earlier'))],
  [
    'touch',
    async (artifacts: ArtifactStore) => {
      const { items } = await artifacts.list({}, { limit: 1 })
      return artifacts.touch(items.map(({ id }) => id))
    },
  ],
] as const)('the use is on disk before a %s is acknowledged', async ([, call]) => {
  const told = await toldOf(call)

  expect(told).toEqual(['rename sha256/xx/X/T.U.bytes to sha256/xx/X/T.U.bytes', 'flush sha256/xx/X'])
})

test('the folders that have to be made around ours are on disk as well', async () => {
  const told = await toldOf(async (_, folder, disk) => {
    const deep = artifactsOn(disk, { folder: path.join(folder, 'a', 'b', 'c') })
    return deep.put(Buffer.from('new'))
  })

  const flushed = told.filter((each) => each.startsWith('flush')).map((each) => each.slice('flush '.length))
  expect(flushed).toEqual(expect.arrayContaining(['', 'a', 'a/b', 'a/b/c', 'a/b/c/sha256']))
})
