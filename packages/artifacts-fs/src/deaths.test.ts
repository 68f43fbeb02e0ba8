import { contentId, type ArtifactStore } from '@varve/store'
import { createTestClock } from '@varve/store-contract'
import { readdir, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { artifactsOn, fileArtifacts } from './file-artifacts.ts'
import { artifactFolder } from './layout.ts'
import { temporaryFolder } from './testing/folder-harness.ts'
import { watchedDisk } from './testing/watched-disk.ts'
import { wholeArtifacts } from './testing/whole.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const bytes = Buffer.alloc(2 * 1024 * 1024 + 7, 'varve')
const id = contentId(bytes)

/** What a process does when it dies. */
interface Life {
  /** What was there before. */
  readonly before: (artifacts: ArtifactStore, folder: string) => Promise<unknown>
  readonly act: (artifacts: ArtifactStore) => Promise<unknown>
  /** Whether the artifact must be there, wherever the process died. */
  readonly isKept: boolean
}

async function* stream() {
  yield bytes.subarray(0, 1_500_000)
  yield bytes.subarray(1_500_000)
}

/** Leaves what a process leaves that died in the middle of a deletion. */
async function halfDeleted(artifacts: ArtifactStore, folder: string) {
  await artifacts.put(bytes, { mediaType: 'text/old' })
  const artifact = artifactFolder(folder, id)
  const names = await readdir(artifact)
  await Promise.all(names.filter((name) => name.endsWith('.bytes')).map((name) => rm(path.join(artifact, name))))
}

const lives: Readonly<Record<string, Life>> = {
  'a put': {
    before: async () => undefined,
    act: async (artifacts) => artifacts.put(stream(), { mediaType: 'text/new' }),
    isKept: false,
  },
  'a put of what was half deleted': {
    before: halfDeleted,
    act: async (artifacts) => artifacts.put(stream(), { mediaType: 'text/new' }),
    isKept: false,
  },
  'a put of what is there': {
    before: async (artifacts) => artifacts.put(bytes, { mediaType: 'text/new' }),
    act: async (artifacts) => artifacts.put(stream()),
    isKept: true,
  },
  'a touch': {
    before: async (artifacts) => artifacts.put(bytes, { mediaType: 'text/new' }),
    act: async (artifacts) => artifacts.touch([id]),
    isKept: true,
  },
  'a deletion': {
    before: async (artifacts) => artifacts.put(bytes, { mediaType: 'text/new' }),
    act: async (artifacts) => artifacts.delete(id, { ifUnusedSince: Number.MAX_SAFE_INTEGER }),
    isKept: false,
  },
}

const folders: string[] = []
const opened: FileHandle[] = []
afterAll(async () => {
  for (const handle of opened) await handle.close()
  for (const folder of folders) await rm(folder, { recursive: true })
})

/** Lives until the process has come to so many boundaries. Answers whether it came to its end, and where it died. */
async function live({ before, act }: Life, dieAt: number) {
  const folder = await temporaryFolder()
  folders.push(folder)
  const clock = createTestClock()
  await before(fileArtifacts({ folder, now: clock.now }), folder)
  clock.advance(1000)
  let passed = 0
  let diedAt = 'nowhere'
  const died = Promise.withResolvers<false>()
  const disk = watchedDisk(async (boundary) => {
    passed++
    if (passed < dieAt) return
    if (passed === dieAt) diedAt = boundary
    died.resolve(false)
    // Nothing of a dead process goes on.
    return new Promise<never>(() => undefined)
  }, opened)
  const acted = act(artifactsOn(disk, { folder, now: clock.now })).then(() => true)
  const isDone = await Promise.race([acted, died.promise])
  return { folder, clock, isDone, diedAt, passed }
}

describe.for(Object.entries(lives))('%s', ([, life]) => {
  test(
    'whose process dies anywhere leaves all or nothing, and stands in nobody’s way',
    { timeout: 60_000 },
    async () => {
      const deaths: string[] = []
      for (let dieAt = 1; ; dieAt++) {
        const { folder, clock, isDone, diedAt } = await live(life, dieAt)
        const artifacts = fileArtifacts({ folder, now: clock.now })
        if (isDone) break
        deaths.push(diedAt)

        const seen = await wholeArtifacts(artifacts)
        expect(await artifacts.has(id), diedAt).toBe(seen.length === 1)
        if (life.isKept) expect(seen, diedAt).toEqual([id])
        if (seen.length === 1) expect((await artifacts.get(id)).mediaType, diedAt).toBe('text/new')
        await artifacts.put(bytes)
        expect(await wholeArtifacts(artifacts), diedAt).toEqual([id])
        clock.advance(DAY_MS + 1000)
        await artifacts.put(Buffer.from('later'))
        expect(await readdir(path.join(folder, 'tmp')), diedAt).toEqual([])
        expect(await artifacts.delete(id, { ifUnusedSince: clock.now() }), diedAt).toBe(true)
      }

      expect(deaths.length).toBeGreaterThan(5)
    },
  )
})
