import type {} from '../../../../test/postgres/global-setup.ts'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest'
import { measurePeer } from './peer-process.ts'

vi.setConfig({ testTimeout: 60_000 })

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'bench-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function benchPeers(...args: readonly string[]) {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const env = { PATH: process.env['PATH'], DATABASE_URL: inject('pgUrl') }
  return spawnSync(process.execPath, ['--conditions=@varve/source', main, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env,
  })
}

test('measures ours without any other system, and leaves no files', () => {
  const { status, stdout } = benchPeers('--peers', 'varve-postgres', '--quick', '--rounds', '1', '--json')

  const { system, cells, compared } = JSON.parse(stdout) as {
    system: string
    cells: Record<string, { values: number[]; error?: string }>
    compared: unknown[]
  }
  expect({ status, system, compared }).toEqual({ status: 0, system: 'varve-postgres', compared: [] })
  expect(Object.keys(cells)).toEqual(['W1', 'W2', 'W3', 'W3 2k', 'W3 1k', 'W3 all', 'W4', 'W5', 'W5 direct'])
  for (const { values, error } of Object.values(cells)) {
    expect(error).toBeUndefined()
    expect(values).toHaveLength(1)
    for (const value of values) expect(value).toBeGreaterThan(0)
  }
  expect(readdirSync(path.join(folder, '.varve'))).toEqual([])
})

test.for([
  ['--peers', 'nobody'],
  ['--workloads', 'W9'],
  ['--rounds', '0'],
])('refuses %s %s', (args) => {
  const { status, stderr } = benchPeers(...args)

  expect(status).toBe(1)
  expect(stderr).toContain('error: option')
})

test('says of a system that cannot be opened why, and that the rest was not reached', async () => {
  const outcomes = await measurePeer({
    file: './varve.ts',
    variant: 'postgres',
    location: { url: 'postgres://postgres@127.0.0.1:1/nothing', folder },
    workloads: ['W1', 'W2'],
    amounts: {
      sequenceSteps: 1,
      runs: 1,
      stepsOfRun: 1,
      resumedSteps: { W3: 1, 'W3 2k': 1, 'W3 1k': 1 },
      fanOutSteps: 1,
      starts: 1,
    },
  })

  expect([...outcomes]).toEqual([
    ['W1', { error: expect.stringMatching(/^ended with 1: .+/) as string }],
    ['W2', { error: 'not reached' }],
  ])
})
