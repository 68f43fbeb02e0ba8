import { appendFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { onLogWrites } from './log-writes.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

const longAgo = () => Infinity

let folder = ''
let file = ''

beforeEach(async () => {
  folder = await temporaryFolder()
  file = path.join(folder, 'runs.sqlite')
  await writeFile(`${file}-wal`, '')
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

test.runIf(process.platform === 'linux')(
  'one write is looked for several times, since what is written is not committed yet',
  async () => {
    let looks = 0
    const lookedOften = Promise.withResolvers<undefined>()
    const end = onLogWrites(
      file,
      () => {
        if (++looks === 8) lookedOften.resolve(undefined)
      },
      longAgo,
    )

    await appendFile(`${file}-wal`, 'frame')
    await lookedOften.promise

    end()
  },
)

test('nothing is looked for where there is no log to watch', () => {
  const end = onLogWrites(
    path.join(folder, 'gone', 'runs.sqlite'),
    () => {
      throw new Error('looked')
    },
    longAgo,
  )

  expect(end).not.toThrow()
})

test.runIf(process.platform === 'linux')(
  'while we write ourselves the log is not watched but looked at now and then, and is watched again afterwards',
  async () => {
    let sinceOwnMs = 0
    let looks = 0
    let looked = Promise.withResolvers<undefined>()
    const nextLook = async (): Promise<void> => {
      looked = Promise.withResolvers()
      await looked.promise
    }
    const look = (): void => {
      looks++
      looked.resolve(undefined)
    }
    const end = onLogWrites(file, look, () => sinceOwnMs)
    const write = () => appendFile(`${file}-wal`, 'frame')

    const first = nextLook()
    await write()
    await first
    const startedAt = performance.now()
    looks = 0
    while (performance.now() - startedAt < 100) await write()
    // One look each five milliseconds, of which a timer may lack one, and one that was under way.
    expect(looks).toBeLessThanOrEqual((performance.now() - startedAt) / 4 + 1)

    sinceOwnMs = Infinity
    // Others may have been in the midst of a write when the watch began again.
    for (let look = 1; look <= 8; look++) await nextLook()
    const told = nextLook()
    await write()
    await told
    end()
  },
)
