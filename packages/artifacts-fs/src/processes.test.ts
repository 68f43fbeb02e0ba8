import { contentId, type ContentId } from '@varve/store'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fileArtifacts } from './file-artifacts.ts'
import { startChild, type Child } from './testing/child.ts'
import { CHUNKS, chunkOf, raced } from './testing/contents.ts'
import { temporaryFolder } from './testing/folder-harness.ts'
import { wholeArtifacts } from './testing/whole.ts'

const MIB = 1024 * 1024
const DAY_MS = 24 * 60 * 60 * 1000

let folder: string
let children: Child[]

beforeEach(async () => {
  folder = await temporaryFolder()
  children = []
})
afterEach(async () => {
  for (const child of children) await child.kill()
  await rm(folder, { recursive: true })
})

function start(program: string, ...args: readonly string[]): Child {
  const child = startChild(program, folder, ...args)
  children.push(child)
  return child
}

test(
  'a process that is killed amid its puts leaves no torn artifact, and loses none that it was told to be kept',
  { timeout: 120_000 },
  async () => {
    const kept = new Set<ContentId>()
    const artifacts = fileArtifacts({ folder })
    for (let lines = 1; lines <= 4 * (CHUNKS + 1); lines += 2) {
      const child = start('putting.ts')
      for (let line = 0; line < lines; line++) {
        const [what, id] = (await child.line()).split(' ')
        if (what === 'kept') kept.add(id as ContentId)
      }
      await child.kill()

      const whole = await wholeArtifacts(artifacts)
      for (const id of kept) expect(whole).toContain(id)
    }

    expect(await readdir(path.join(folder, 'tmp'))).not.toEqual([])
    const last = Buffer.concat(Array.from({ length: CHUNKS }, (_, chunk) => chunkOf(7, chunk)))
    expect(await artifacts.put(last)).toBe(contentId(last))
    const tomorrow = fileArtifacts({ folder, now: () => Date.now() + DAY_MS + 1000 })
    await tomorrow.put(last)
    expect(await readdir(path.join(folder, 'tmp'))).toEqual([])
    for (const id of kept) expect(await wholeArtifacts(tomorrow)).toContain(id)
  },
)

test(
  'what a process has put or touched is not lost to one that deletes what was not used since',
  { timeout: 120_000 },
  async () => {
    const using = [start('racing.ts', 'put'), start('racing.ts', 'touch'), start('racing.ts', 'put')]
    const deleting = [start('racing.ts', 'delete'), start('racing.ts', 'delete')]
    const said: string[] = []

    for (let round = 1; round <= 150; round++) {
      for (const child of [...deleting, ...using]) child.tell(String(round))
      said.push(...(await Promise.all(using.map(async (child) => child.line()))))
    }

    expect(said).not.toContain('lost')
    expect(said).toContain('there')
    // And they did delete all the time.
    for (const child of deleting) child.tell('1000')
    const artifacts = fileArtifacts({ folder })
    while (await artifacts.has(contentId(raced))) await nextTurn()
  },
)

test('200 MiB are streamed in and out in less than 64 MiB of memory', { timeout: 60_000 }, async () => {
  const { size, memory } = JSON.parse(await start('streaming.ts', '200').line()) as Record<string, number>

  expect(size).toBe(200 * MIB)
  expect(memory).toBeLessThan(64 * MIB)
})
