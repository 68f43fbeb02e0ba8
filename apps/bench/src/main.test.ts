import type {} from '../../../test/postgres/global-setup.ts'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import type { Measured } from './measure.ts'
import type { MeasuredArtifacts } from './measures/artifacts.ts'
import type { MeasuredWorkers } from './measure-workers.ts'
import { median, percentile } from './statistics.ts'

vi.setConfig({ testTimeout: 60_000 })

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'bench-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function bench(...args: readonly string[]) {
  return benchWith({}, ...args)
}

function benchWith(env: NodeJS.ProcessEnv, ...args: readonly string[]) {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const all = ['--conditions=@varve/source', main, ...args]
  return spawnSync(process.execPath, all, { cwd: folder, encoding: 'utf8', env: { PATH: process.env['PATH'], ...env } })
}

test('measures every store that it is asked for, and leaves no files', () => {
  const stores = ['memory', 'sqlite-full', 'sqlite-normal']
  const amounts = ['--steps', '5', '--rounds', '2', '--events', '20', '--states', '150']

  const { status, stdout } = bench('--json', ...amounts, '--stores', stores.join(','))
  const measured = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Measured)

  expect(status).toBe(0)
  expect(measured.map(({ store }) => store)).toEqual(stores)
  for (const each of measured) {
    const { reads, plan } = each
    expect(each).toMatchObject({ rounds: 2, steps: 5, reads: { events: 20 }, plan: { states: 150 } })
    for (const rate of [each.rawCommitsPerSecond, each.appendsPerSecond, each.stepsPerSecond]) {
      expect(rate).toBeGreaterThan(0)
    }
    for (const number of Object.values(reads)) expect(number).toBeGreaterThan(0)
    for (const number of Object.values(plan)) expect(number).toBeGreaterThan(0)
  }
  expect(existsSync(path.join(folder, '.varve')) ? readdirSync(path.join(folder, '.varve')) : []).toEqual([])
})

test('counts one append more than there are steps, and nothing else but snapshots', () => {
  const amounts = ['--steps', '250', '--rounds', '1', '--events', '20', '--states', '150']
  const { stdout } = bench('--json', ...amounts, '--stores', 'sqlite-normal')

  const { callsOfRun } = JSON.parse(stdout) as Measured

  expect(callsOfRun).toMatchObject({ appends: 251, writes: 0, reads: 0 })
})

test('opens a long blocked run from its snapshot, and reads no more events of a longer one', () => {
  const stores = 'memory,sqlite-normal'
  const opened = ['1000', '4000'].map((events) => {
    const { stdout } = bench(
      '--json',
      '--steps',
      '5',
      '--rounds',
      '3',
      '--events',
      events,
      '--states',
      '10',
      '--stores',
      stores,
    )
    const lines = stdout.trim().split('\n')
    return lines.map((line) => (JSON.parse(line) as Measured).reads).map(({ openingEvents }) => openingEvents)
  })

  // The snapshot's own event, and the decisions behind it: the signal's delivery and the next wait.
  expect(opened).toEqual([
    [3, 3],
    [3, 3],
  ])
})

test('measures the server that DATABASE_URL names, and leaves nothing on it', async () => {
  const args = ['--json', '--steps', '5', '--rounds', '2', '--events', '300', '--states', '10', '--stores', 'postgres']

  const { status, stdout } = benchWith({ DATABASE_URL: inject('pgUrl') }, ...args)
  const server = new pg.Client({ connectionString: inject('pgUrl') })
  await server.connect()
  const { rows } = await server.query("select nspname from pg_namespace where nspname like 'varve_bench_%'")
  await server.end()

  expect(status).toBe(0)
  const measured = JSON.parse(stdout) as Measured
  expect(measured).toMatchObject({ store: 'postgres', callsOfRun: { appends: 6, writes: 0 } })
  // Once the store listens for notifications, whatever is being driven looks for a post that was told before.
  expect(measured.callsOfRun.reads).toBeLessThanOrEqual(1)
  expect(JSON.parse(stdout)).toMatchObject({ reads: { events: 300, openingEvents: 3 } })
  expect(rows).toEqual([])
})

test('streams an artifact in and out next to hashing and copying it, and leaves no files', () => {
  const { status, stdout } = bench('--json', '--stores', 'artifacts-fs', '--artifact', '3', '--rounds', '2')
  const measured = JSON.parse(stdout) as MeasuredArtifacts

  expect(status).toBe(0)
  expect(measured).toMatchObject({ store: 'artifacts-fs', rounds: 2, mebibytes: 3 })
  for (const number of Object.values(measured).slice(3)) expect(number).toBeGreaterThan(0)
  expect(readdirSync(path.join(folder, '.varve'))).toEqual([])
})

test('prints a table of the artifact for people', () => {
  const { stdout } = bench('--stores', 'artifacts-fs', '--artifact', '1', '--rounds', '1')

  expect(stdout).toContain('sha256 + copy')
  expect(stdout).toContain('1 MiB')
})

describe('workers', () => {
  const short = ['--workers', '--runs', '7', '--starts', '2', '--rounds', '2']

  test('drive every run to its end and hear of every start, each step one append, and leave no files', () => {
    const { status, stdout } = bench('--json', ...short, '--stores', 'memory,sqlite-full')
    const lines = stdout.trim().split('\n')
    const [memory, sqlite] = lines.map((line) => JSON.parse(line) as MeasuredWorkers)

    expect(status).toBe(0)
    expect(memory).toMatchObject({ store: 'memory', rounds: 2, runs: 7, steps: 5 })
    expect(memory?.driven.map(({ way }) => way)).toEqual(['start', ...enqueuedFor('a worker here')])
    expect(sqlite?.driven.map(({ way }) => way)).toEqual([
      'start',
      ...enqueuedFor('1 process'),
      ...enqueuedFor('2 processes'),
    ])
    for (const { way, callsByName } of [...(memory?.driven ?? []), ...(sqlite?.driven ?? [])]) {
      // A step, and the end with the last one; what is enqueued is made in an append of its own.
      const perRun = way === 'start' ? { appends: 6, reads: 0 } : { appends: 7, reads: 1 }
      expect(callsByName['events.append'], way).toBe(7 * perRun.appends)
      expect(callsByName['events.read'] ?? 0, way).toBe(7 * perRun.reads)
      expect(callsByName['runs.acquire'] ?? 0, way).toBe(0)
    }
    const here = { from: 'worker', starts: 4 }
    expect([memory?.latencies, sqlite?.latencies]).toMatchObject([[here], [here, { from: 'elsewhere', starts: 4 }]])
    expect(readdirSync(path.join(folder, '.varve'))).toEqual([])
  })

  test('are measured on the server that DATABASE_URL names, in tables for people', () => {
    const { status, stdout } = benchWith({ DATABASE_URL: inject('pgUrl') }, ...short, '--stores', 'postgres')

    expect(status).toBe(0)
    expect(stdout).toContain('2 processes, enqueued meanwhile')
    expect(stdout).toContain('another process')
    expect(stdout).toContain('Medians of 2 rounds of 7 runs')
  })
})

function enqueuedFor(crew: string): readonly string[] {
  return ['before', 'meanwhile'].map((when) => `${crew}, enqueued ${when}`)
}

test('prints a table for people', () => {
  const { stdout } = bench('--steps', '3', '--rounds', '1', '--events', '100', '--states', '10', '--stores', 'memory')

  expect(stdout).toContain('raw commits/s')
  expect(stdout).toContain('4 for 3 steps')
  expect(stdout).toContain('2 of 100')
  expect(stdout).toContain('Medians of 1 rounds of 3')
})

test.for([
  [['--steps', '0']],
  [['--rounds', 'many']],
  [['--events', '20001']],
  [['--artifact', '0']],
  [['--workers', '--runs', '0']],
  [['--stores', 'memory,tape']],
  [['--frobnicate']],
] as const)('refuses %j with the usage', ([args]) => {
  const { status, stderr } = bench(...args)

  expect(status).toBe(1)
  expect(stderr).toContain('Usage: bench')
})

test('takes the middle of an odd number of rounds, and the mean of the middle two of an even one', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('takes for a percentile the least number that so many do not exceed', () => {
  const numbers = Array.from({ length: 200 }, (_, i) => 200 - i)

  expect([0.5, 0.99, 1].map((part) => percentile(numbers, part))).toEqual([100, 198, 200])
  expect(percentile([7], 0.99)).toBe(7)
})
