import type {} from '../../../test/postgres/global-setup.ts'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import type { Ratio } from './report/ratios.ts'
import type { Summary } from './report/summary.ts'
import type { Sample } from './rounds/measure-rounds.ts'

vi.setConfig({ testTimeout: 60_000 })

/** As little as there can be of everything. */
const little = ['--rounds', '1', '--steps', '5', '--runs', '7', '--states', '150', '--artifact', '3']

type Line =
  | { readonly kind: 'machine' }
  | ({ readonly kind: 'sample' } & Sample)
  | ({ readonly kind: 'figure' } & Summary)
  | ({ readonly kind: 'ratio' } & Ratio)

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
  const kept = { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }
  return spawnSync(process.execPath, all, { cwd: folder, encoding: 'utf8', env: { ...kept, ...env } })
}

function linesOf(text: string): readonly Line[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

function figuresOf(lines: readonly Line[]): readonly Summary[] {
  return lines.filter((line) => line.kind === 'figure')
}

/** The programs that were measured, by store. */
function programsOf(lines: readonly Line[]): Readonly<Record<string, readonly string[]>> {
  const byStore = Map.groupBy(figuresOf(lines), ({ store }) => store)
  return Object.fromEntries(
    [...byStore].map(([store, all]) => [store, [...new Set(all.map(({ program }) => program))]]),
  )
}

describe('the command', () => {
  test('measures steps on every store that it is asked for, round by round, and leaves no files', () => {
    const stores = ['memory', 'sqlite-full', 'sqlite-normal']

    const { stdout } = bench('steps', ...little, '--rounds', '2', '--json', '-', '--stores', stores.join(','))

    const lines = linesOf(stdout)
    const programs = ['varve', 'plain', 'plain, unsealed', 'appends alone', 'raw commits']
    expect(lines[0]).toMatchObject({ kind: 'machine', rounds: 2 })
    expect(Object.keys(programsOf(lines))).toEqual(stores)
    for (const measured of Object.values(programsOf(lines))) expect(measured.toSorted()).toEqual(programs.toSorted())
    for (const { median, min, max } of figuresOf(lines)) {
      expect(min).toBeGreaterThan(0)
      expect(median).toBeGreaterThanOrEqual(min)
      expect(max).toBeGreaterThanOrEqual(median)
    }
    expect(lines.filter((line) => line.kind === 'sample')).toHaveLength(2 * stores.length * programs.length)
    expect(existsSync(path.join(folder, '.varve')) ? readdirSync(path.join(folder, '.varve')) : []).toEqual([])
  })

  test('measures the server that DATABASE_URL names, and leaves nothing on it', async () => {
    const args = ['steps', 'runs', ...little, '--json', '-', '--stores', 'postgres']

    const { stdout } = benchWith({ DATABASE_URL: inject('pgUrl') }, ...args)
    const server = new pg.Client({ connectionString: inject('pgUrl') })
    await server.connect()
    const { rows } = await server.query("select nspname from pg_namespace where nspname like 'varve_bench_%'")
    await server.end()

    expect(programsOf(linesOf(stdout))['postgres']).toContain('varve, 2 workers')
    expect(rows).toEqual([])
  })

  test('has workers drive every run to its end, with a run of calls for each step', () => {
    const { stdout } = bench('runs', ...little, '--json', '-', '--stores', 'memory,sqlite-full')

    const calls = figuresOf(linesOf(stdout)).filter(({ figure }) => figure === 'calls/run')
    expect(calls.map(({ store, program }) => `${store}: ${program}`).toSorted()).toEqual(
      [
        ...['memory: varve, 1 worker', 'memory: varve, 1 worker, enqueued meanwhile'],
        ...['sqlite-full: varve, 1 worker', 'sqlite-full: varve, 1 worker, enqueued meanwhile'],
        ...['sqlite-full: varve, 2 workers', 'sqlite-full: varve, 2 workers, enqueued meanwhile'],
      ].toSorted(),
    )
    // Five steps, the start, the end: whatever else there is comes on top.
    for (const { min } of calls) expect(min).toBeGreaterThan(7)
  })

  test('runs a plan, and once more from the cache', () => {
    const { stdout } = bench('plans', ...little, '--json', '-', '--stores', 'sqlite-normal')

    const figures = figuresOf(linesOf(stdout)).map(({ figure }) => figure)
    expect(figures).toEqual(['first run ms', 'scheduling ms', 'scheduling / commits', 'cached run ms'])
  })

  test('streams an artifact in and out next to hashing and copying it, and leaves no files', () => {
    const { stdout } = bench('artifacts', ...little, '--json', '-')

    const smaller = ['varve, in, 1 MiB', 'varve, out, 1 MiB']
    expect(programsOf(linesOf(stdout))['artifacts-fs']?.toSorted()).toEqual(
      ['plain', 'varve, in', 'varve, out', 'varve, memory', ...smaller].toSorted(),
    )
    expect(readdirSync(path.join(folder, '.varve'))).toEqual([])
  })

  test('compares steps with larger payloads with those of smaller ones, up to what an event may hold', () => {
    const few = ['--indexed', '20', '--longest', '20', '--timers', '20']

    const { stdout } = bench('growth', ...little, ...few, '--json', '-', '--stores', 'memory')

    const lines = linesOf(stdout)
    const compared = lines
      .filter((line) => line.kind === 'ratio')
      .map(({ figure, of, to }) => `${figure}: ${of} / ${to ?? ''}`)
    const sizes = ['100 B', '1 KiB', '10 KiB', '100 KiB', '256 KiB', '1 MiB']
    expect(programsOf(lines)['memory']).toEqual(expect.arrayContaining(sizes.map((size) => `varve, ${size} payloads`)))
    expect(compared).toContain('ms/step: varve, 100 B payloads / varve, 100 steps')
    expect(compared).toContain('ms/MiB: varve, 1 MiB payloads / varve, 256 KiB payloads')
    expect(compared).toContain('verify ms/MiB: varve, 1 MiB payloads / varve, 256 KiB payloads')
  })

  test('prints tables for people, and writes lines and a chart into files', () => {
    const files = ['--json', 'bench.jsonl', '--chart', 'bench.svg']

    const { stdout } = bench('steps', ...little, '--stores', 'memory', ...files)

    expect(stdout).toContain('raw commits')
    expect(stdout).toContain('at least 1.00')
    expect(stdout).toContain('Medians of 1 round;')
    expect(linesOf(readFileSync(path.join(folder, 'bench.jsonl'), 'utf8')).at(-1)).toMatchObject({ kind: 'ratio' })
    expect(readFileSync(path.join(folder, 'bench.svg'), 'utf8')).toMatch(/^<svg[^]*W1 steps: steps\/s[^]*<\/svg>\s*$/)
  })

  test('exits with 1 when a target is missed, and only then', () => {
    const { status, stdout } = bench('steps', 'artifacts', ...little, '--json', '-', '--stores', 'memory')

    const missed = linesOf(stdout).some((line) => line.kind === 'ratio' && line.verdict === 'missed')
    expect(status).toBe(missed ? 1 : 0)
  })

  test('refuses what it does not know with the usage', () => {
    const { status, stderr } = bench('stairs')

    expect(status).toBe(1)
    expect(stderr).toContain('Usage: bench')
  })
})
