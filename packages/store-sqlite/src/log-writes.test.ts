import { appendFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { onLogWrites } from './log-writes.ts'
import { temporaryFolder } from './testing/sqlite-harness.ts'

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
    const end = onLogWrites(file, () => {
      if (++looks === 8) lookedOften.resolve(undefined)
    })

    await appendFile(`${file}-wal`, 'frame')
    await lookedOften.promise

    end()
  },
)

test('nothing is looked for where there is no log to watch', () => {
  const end = onLogWrites(path.join(folder, 'gone', 'runs.sqlite'), () => {
    throw new Error('looked')
  })

  expect(end).not.toThrow()
})
