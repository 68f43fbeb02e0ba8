import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { buildSlowFlush } from './slow-flush.ts'

const built = buildSlowFlush()

test.skipIf(typeof built === 'string')('every flush takes a millisecond more', () => {
  if (typeof built === 'string') return
  const flushes = `
    const fs = require('node:fs')
    const file = fs.openSync(process.execPath, 'r')
    const startedAt = performance.now()
    for (let n = 0; n < 20; n++) { fs.fsyncSync(file); fs.fdatasyncSync(file) }
    console.log(performance.now() - startedAt)`

  const { stdout } = spawnSync(process.execPath, ['-e', flushes], {
    encoding: 'utf8',
    env: { ...process.env, LD_PRELOAD: built.library },
  })
  built.remove()

  expect(Number(stdout)).toBeGreaterThanOrEqual(40)
})
