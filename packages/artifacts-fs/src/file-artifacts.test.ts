import { contentId, type ArtifactStore } from '@varve/store'
import { createTestClock, type TestClock } from '@varve/store-contract'
import * as fs from 'node:fs/promises'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Disk } from './disk.ts'
import { artifactsOn, fileArtifacts } from './file-artifacts.ts'
import { artifactFolder } from './layout.ts'
import { bytesOf, temporaryFolder } from './testing/folder-harness.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const MIB = 1024 * 1024

let folder: string
let clock: TestClock
let artifacts: ArtifactStore

beforeEach(async () => {
  folder = await temporaryFolder()
  clock = createTestClock()
  artifacts = fileArtifacts({ folder, now: clock.now })
})
afterEach(async () => rm(folder, { recursive: true }))

const uploads = async () => readdir(path.join(folder, 'tmp'))
const failed = (code: string): unknown => expect.objectContaining({ code })

/** A file system of which some calls are refused. */
function diskWithout(refusals: Partial<Record<keyof Disk, string>>): Disk {
  return new Proxy(fs, {
    get: (_, name) => {
      const code = refusals[name as keyof Disk]
      if (code === undefined) return Reflect.get(fs, name) as unknown
      return async () => {
        throw Object.assign(new Error(`${code}: ${String(name)}`), { code })
      }
    },
  })
}

/** A file system that tells when a part of a file was written. */
function diskThatTells(written: () => void): Disk {
  const open = async (...args: Parameters<typeof fs.open>): Promise<fs.FileHandle> => {
    const handle = await fs.open(...args)
    const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>
    return Object.assign(handle, {
      write: async (...given: unknown[]) => {
        const answer = await write(...given)
        written()
        return answer
      },
    })
  }
  return { ...fs, open }
}

test('the bytes are a plain file below the digits of their hash', async () => {
  const bytes = Buffer.from('hello')

  const id = await artifacts.put(bytes, { mediaType: 'text/plain' })

  const digits = id.slice('sha256:'.length)
  const artifact = path.join(folder, 'sha256', digits.slice(0, 2), digits)
  const names = await readdir(artifact)
  const name = names.find((each) => each.endsWith('.bytes')) ?? ''
  expect(names).toHaveLength(2)
  expect(name.startsWith(`${clock.now()}.`)).toBe(true)
  expect(await readFile(path.join(artifact, name))).toEqual(bytes)
  expect(await uploads()).toEqual([])
})

test('nothing is left of an artifact that was deleted but the folder of its first digits', async () => {
  const id = await artifacts.put(Buffer.from('hello'))

  await artifacts.delete(id, { ifUnusedSince: clock.now() + 1 })

  expect(await readdir(path.dirname(artifactFolder(folder, id)))).toEqual([])
})

test('a folder that is not there has no artifacts, and is made by the first put', async () => {
  const deep = fileArtifacts({ folder: path.join(folder, 'not', 'yet') })
  const id = contentId('hello')

  expect(await deep.has(id)).toBe(false)
  expect(await deep.list({}, { limit: 10 })).toEqual({ items: [] })
  expect(await deep.touch([id])).toEqual([])
  expect(await deep.delete(id, { ifUnusedSince: 1 })).toBe(false)
  expect(await readdir(folder)).toEqual([])
  await deep.put(Buffer.from('hello'))
  expect(await deep.has(id)).toBe(true)
})

test('the folder may vanish between two puts', async () => {
  await artifacts.put(Buffer.from('one'))
  await rm(path.join(folder, 'sha256'), { recursive: true })

  const id = await artifacts.put(Buffer.from('two'))

  expect(await artifacts.has(id)).toBe(true)
})

test('other files in the folder are neither listed nor touched', async () => {
  const id = await artifacts.put(Buffer.from('hello'))
  const shard = path.dirname(artifactFolder(folder, id))
  const others = [
    path.join(folder, 'sha256', '.DS_Store'),
    path.join(shard, 'notes'),
    path.join(folder, 'tmp', 'notes'),
  ]
  for (const file of others) await writeFile(file, 'mine')
  clock.advance(2 * DAY_MS)

  await artifacts.put(Buffer.from('hello'))

  expect((await artifacts.list({}, { limit: 10 })).items.map((row) => row.id)).toEqual([id])
  for (const file of others) expect(await readFile(file, 'utf8')).toBe('mine')
})

describe('uploads', () => {
  async function* slowly(steps: readonly number[]) {
    for (const ms of steps) {
      yield Buffer.alloc(MIB, 'slow')
      clock.advance(ms)
      await artifacts.put(Buffer.from(`another, at ${clock.now()}`))
    }
  }

  test('one that goes on for days is not taken for that of a dead process', async () => {
    // Up to three chunks are on their way to the disk, and an upload shows that it is alive when one has come there.
    const id = await artifacts.put(slowly(Array.from({ length: 9 }, () => 0.3 * DAY_MS)))

    expect((await artifacts.get(id)).size).toBe(9 * MIB)
  })

  test('one that comes to a halt for longer than a day is, and may be tried again', async () => {
    for (const more of [0, 1]) {
      const written = Promise.withResolvers<unknown>()
      const on = artifactsOn(
        diskThatTells(() => written.resolve(undefined)),
        { folder, now: clock.now },
      )
      async function* halting() {
        // The first chunk is given out when there is more.
        for (const part of ['first', 'second']) yield Buffer.alloc(MIB, part)
        await written.promise
        await nextTurn()
        clock.advance(DAY_MS + 1)
        await artifacts.put(Buffer.from(`another, at ${clock.now()}`))
        for (let n = 0; n < more; n++) yield Buffer.alloc(MIB)
      }

      await expect(on.put(halting())).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: true })
    }

    expect(await uploads()).toEqual([])
  })

  test('one of today is left alone', async () => {
    const name = `${clock.now()}.${crypto.randomUUID()}`
    await mkdir(path.join(folder, 'tmp', name), { recursive: true })
    clock.advance(DAY_MS)

    await artifacts.put(Buffer.from('one'))
    const today = await uploads()
    clock.advance(1)
    await artifacts.put(Buffer.from('two'))

    expect(today).toEqual([name])
    expect(await uploads()).toEqual([])
  })
})

describe('what is damaged', () => {
  test('a file in the place of an artifact hides no other one, and gives way to it when it is put again', async () => {
    const id = await artifacts.put(Buffer.from('hello'))
    const other = await artifacts.put(Buffer.from('other'))
    await rm(artifactFolder(folder, id), { recursive: true })
    await writeFile(artifactFolder(folder, id), 'what a bad restore has left')

    expect((await artifacts.list({}, { limit: 10 })).items.map((row) => row.id)).toEqual([other])
    expect(await artifacts.has(id)).toBe(false)
    expect(await artifacts.touch([id, other])).toEqual([other])
    await expect(artifacts.get(id)).rejects.toEqual(failed('ARTIFACT_NOT_FOUND'))
    expect(await artifacts.put(Buffer.from('hello'))).toBe(id)
    expect(await (await artifacts.get(id)).bytes()).toEqual(new Uint8Array(Buffer.from('hello')))
  })

  test('a folder in the place of what says what an artifact is hides no other one', async () => {
    const id = await artifacts.put(Buffer.from('hello'))
    const other = await artifacts.put(Buffer.from('other'))
    const name = (await readdir(artifactFolder(folder, id))).find((each) => each.endsWith('.json')) ?? ''
    const file = path.join(artifactFolder(folder, id), name)
    await rm(file)
    await mkdir(file)

    const { items } = await artifacts.list({}, { limit: 10 })
    expect(items.map((row) => row.id).toSorted()).toEqual([id, other].toSorted())
    await expect(artifacts.get(id)).rejects.toEqual(failed('ARTIFACT_CORRUPT'))
  })

  test.for(['.json', '.bytes'])(
    'a folder in the place of a %s is deleted with its artifact, which is put again',
    async (end) => {
      const id = await artifacts.put(Buffer.from('hello'))
      const name = (await readdir(artifactFolder(folder, id))).find((each) => each.endsWith(end)) ?? ''
      const file = path.join(artifactFolder(folder, id), name)
      await rm(file)
      await mkdir(file)
      clock.advance(1)

      expect(await artifacts.delete(id, { ifUnusedSince: clock.now() })).toBe(true)

      expect(await artifacts.put(Buffer.from('hello'))).toBe(id)
      expect(await (await artifacts.get(id)).bytes()).toEqual(new Uint8Array(Buffer.from('hello')))
    },
  )

  test('a file that was cut short is ARTIFACT_CORRUPT until its bytes are put again; its last use does not go back', async () => {
    const bytes = Buffer.alloc(3 * MIB, 'varve')
    const id = await artifacts.put(bytes)
    await writeFile(await bytesOf(folder, id), bytes.subarray(0, MIB))

    await expect((await artifacts.get(id)).bytes()).rejects.toEqual(failed('ARTIFACT_CORRUPT'))
    const before = await artifacts.list({}, { limit: 10 })
    const early = fileArtifacts({ folder, now: () => clock.now() - 1000 })
    expect(await early.put(bytes, { mediaType: 'text/other' })).toBe(id)

    expect(Buffer.compare(await (await artifacts.get(id)).bytes(), bytes)).toBe(0)
    expect((await artifacts.list({}, { limit: 10 })).items).toEqual(
      before.items.map((row) => ({ ...row, size: 3 * MIB })),
    )
    expect(await readdir(artifactFolder(folder, id))).toHaveLength(2)
  })

  test.for([['lost'], ['not JSON'], ['null'], ['{"mediaType":7,"createdAt":1}']])(
    'an artifact whose media type is %s is listed and deleted, ARTIFACT_CORRUPT to who reads it, and mended by who puts it again',
    async ([text]) => {
      const id = await artifacts.put(Buffer.from('hello'), { mediaType: 'text/plain' })
      const name = (await readdir(artifactFolder(folder, id))).find((each) => each.endsWith('.json')) ?? ''
      const file = path.join(artifactFolder(folder, id), name)
      await (text === 'lost' ? rm(file) : writeFile(file, text!))

      await expect(artifacts.get(id)).rejects.toEqual(failed('ARTIFACT_CORRUPT'))
      expect((await artifacts.list({}, { limit: 10 })).items).toEqual([
        { id, size: 5, mediaType: 'application/octet-stream', createdAt: clock.now(), usedAt: clock.now() },
      ])
      expect(await artifacts.put(Buffer.from('hello'), { mediaType: 'text/new' })).toBe(id)
      expect((await artifacts.get(id)).mediaType).toBe('text/new')
      expect(await readdir(artifactFolder(folder, id))).toHaveLength(2)
      expect(await artifacts.delete(id, { ifUnusedSince: clock.now() + 1 })).toBe(true)
    },
  )
})

describe('refuses', () => {
  test('a folder without a name', () => {
    for (const none of ['', undefined as never, 7 as never]) {
      expect(() => fileArtifacts({ folder: none })).toThrow(failed('INVALID_ARGUMENT'))
    }
  })

  test('options that are none, and a clock that is no function', () => {
    for (const none of [
      undefined,
      null,
      folder,
      7,
      [],
      { folder, now: 7 },
      { folder, now: null },
      { folder, clock: Date.now },
    ]) {
      expect(() => fileArtifacts(none as never)).toThrow(failed('INVALID_ARGUMENT'))
    }
  })

  test('the time of a clock that could not be read again, and keeps nothing', async () => {
    for (const time of [NaN, 0.5, Infinity]) {
      const broken = fileArtifacts({ folder, now: () => time })

      await expect(broken.put(Buffer.from('hello'))).rejects.toEqual(failed('INVALID_ARGUMENT'))
    }
    expect(await artifacts.has(contentId('hello'))).toBe(false)
  })

  test('a folder that is a file, as STORE_UNREACHABLE', async () => {
    const file = path.join(folder, 'file')
    await writeFile(file, '')
    const wrong = fileArtifacts({ folder: file })

    await expect(wrong.put(Buffer.from('hello'))).rejects.toEqual(failed('STORE_UNREACHABLE'))
    await expect(wrong.has(contentId('hello'))).rejects.toEqual(failed('STORE_UNREACHABLE'))
    await expect(wrong.list({}, { limit: 1 })).rejects.toEqual(failed('STORE_UNREACHABLE'))
  })

  test('a stream that there is nowhere to keep, and tells it so', async () => {
    const on = artifactsOn(diskWithout({ mkdir: 'EROFS' }), { folder, now: clock.now })
    let isTold = false
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(MIB)
      } finally {
        isTold = true
      }
    }

    await expect(on.put(endless())).rejects.toEqual(failed('STORE_UNREACHABLE'))

    expect(isTold).toBe(true)
  })

  test.for([
    [{ rename: 'ENOSPC' }, 'STORE_FAILED'],
    [{ open: 'EMFILE' }, 'STORE_FAILED'],
    [{ writeFile: 'EIO' }, 'STORE_FAILED'],
    [{ mkdir: 'EROFS' }, 'STORE_UNREACHABLE'],
  ] as const)('what the disk refuses: %j is %s, and nothing is left', async ([refusals, code]) => {
    const on = artifactsOn(diskWithout(refusals), { folder, now: clock.now })

    await expect(on.put(Buffer.from('hello'))).rejects.toEqual(failed(code))

    expect(await artifacts.has(contentId('hello'))).toBe(false)
    expect(await artifacts.list({}, { limit: 10 })).toEqual({ items: [] })
  })

  test.for([['datasync'], ['sync'], ['write']])(
    'bytes that a disk fails to take (%s), and keeps nothing',
    async ([call]) => {
      const failing = async (...args: Parameters<typeof fs.open>): Promise<fs.FileHandle> => {
        const handle = await fs.open(...args)
        const fail = async (): Promise<never> => {
          throw Object.assign(new Error('EIO'), { code: 'EIO' })
        }
        return new Proxy(handle, {
          get: (_, name) => {
            const value = name === call ? fail : (Reflect.get(handle, name, handle) as unknown)
            return typeof value === 'function' ? (value.bind(handle) as unknown) : value
          },
        })
      }
      const on = artifactsOn({ ...fs, open: failing }, { folder, now: clock.now })
      const bytes = Buffer.alloc(40 * MIB, 'large')

      await expect(on.put(bytes)).rejects.toEqual(failed('STORE_FAILED'))

      expect(await artifacts.has(contentId(bytes))).toBe(false)
      expect(await uploads()).toEqual([])
    },
  )

  test('to go round in circles on a disk that answers from the past, as STORE_BUSY', async () => {
    const id = await artifacts.put(Buffer.from('hello'))
    clock.advance(1000)
    const stale = artifactsOn(diskWithout({ rename: 'ENOENT', unlink: 'ENOENT' }), { folder, now: clock.now })

    await expect(stale.touch([id])).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true })
    await expect(stale.delete(id, { ifUnusedSince: clock.now() })).rejects.toEqual(failed('STORE_BUSY'))
  })
})
