import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Profiler } from 'node:inspector'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'bench-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function benchProfile(...args: readonly string[]) {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  return spawnSync(process.execPath, ['--conditions=@varve/source', main, ...args], {
    ...{ cwd: folder, encoding: 'utf8' },
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] },
  })
}

test('says for each store where the time of a step goes, and draws and writes flame graphs', () => {
  const { status, stdout } = benchProfile('--steps', '100', '--stores', 'memory,sqlite-normal', '--out', 'profiles')

  expect(status).toBe(0)
  expect(stdout).toMatch(/^memory: \d+ us for each of 5 x 100 steps, and \d+ us of waiting\n self +all\n/)
  expect(stdout).toMatch(/\n +\d+ % +\d+ % {2}kernel\n/)
  expect(stdout).toMatch(/\nsqlite-normal: [^]*\n +\d+ % +\d+ % {2}store-sqlite\n/)
  expect(readdirSync(path.join(folder, 'profiles')).toSorted()).toEqual(
    ['memory', 'sqlite-normal'].flatMap((store) => [`${store}.cpuprofile`, `${store}.svg`]),
  )
  const text = readFileSync(path.join(folder, 'profiles', 'memory.cpuprofile'), 'utf8')
  const { nodes, samples } = JSON.parse(text) as Profiler.Profile
  expect(nodes.some(({ callFrame }) => callFrame.url.endsWith('kernel/src/driver/drive.ts'))).toBe(true)
  expect(samples?.length).toBeGreaterThan(0)
  const svg = readFileSync(path.join(folder, 'profiles', 'memory.svg'), 'utf8')
  expect(svg).toMatch(/^<svg[^]*W1 steps, memory[^]* kernel<[^]*<\/svg>\s*$/)
})

test.for([[['--stores', 'tape']], [['--steps', '0']], [['--least', 'much']], [['steps']]] as const)(
  'refuses %j with the usage',
  ([args]) => {
    const { status, stderr } = benchProfile(...args)

    expect(status).toBe(1)
    expect(stderr).toContain('Usage: bench:profile')
  },
)
