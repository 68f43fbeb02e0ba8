import { createKernel } from '@varve/kernel'
import { contentId } from '@varve/store'
import { sqliteStore } from '@varve/store-sqlite'
import { readFlightFile } from 'flight-report/flights/flight-file'
import { execFile, spawn } from 'node:child_process'
import { closeSync, copyFileSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defineFlightCheck } from './flight-check.ts'

vi.setConfig({ testTimeout: 60_000 })

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'flight-check-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** A day with a flight in every hour, of which one came half a day late. */
const flights = Array.from({ length: 24 }, (_, hour) => ({ delay: hour === 7 ? 720 : 5, distance: 300, time: hour }))

function fileOf(content: unknown): string {
  const file = path.join(folder, 'flights.json')
  writeFileSync(file, JSON.stringify(content))
  return file
}

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program; kills it, or stops reading from it, as soon as it has printed the given text. */
async function run(
  args: readonly string[],
  {
    killAt,
    leaveAt,
    stdout = 'pipe',
  }: { readonly killAt?: string; readonly leaveAt?: string; readonly stdout?: 'pipe' | number } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, ['--conditions=@varve/source', main, ...args], {
    cwd: folder,
    stdio: ['ignore', stdout, 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
    if (killAt !== undefined && output.stdout.includes(killAt)) child.kill('SIGKILL')
    if (leaveAt !== undefined && output.stdout.includes(leaveAt)) child.stdout?.destroy()
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...output })))
}

const done = (stdout: string): readonly string[] => stdout.match(/(?<=^done {2}).+$/gm) ?? []

test('a file in which nothing looks wrong is accepted without a question', async () => {
  const file = fileOf(flights.filter(({ delay }) => delay < 300))

  const { code, stdout } = await run([file])

  expect(code).toBe(0)
  expect(done(stdout)).toHaveLength(25)
  expect(stdout).toMatch(/^Run check-[0-9a-f]{12}: {"accepted":true,"flights":23,"odd":0}$/m)
})

test('what looks wrong is shown, and a person decides once', async () => {
  const file = fileOf(flights)

  const asked = await run([file])
  const refused = await run([file, '--refuse'])
  const later = await run([file, '--accept'])

  expect(asked.stdout).toMatch(/^odd {3}07:00 {2}720 minutes$/m)
  expect(refused.stdout).toContain('{"accepted":false,"flights":24,"odd":1}')
  expect(done(refused.stdout)).toEqual([])
  expect(later.stdout).toBe(refused.stdout)
})

test('its own question is found behind those of more than a hundred other files', async () => {
  const file = fileOf(flights)
  await run([file])
  await using store = await sqliteStore(
    { path: path.join(folder, '.varve', 'checks.sqlite') },
    { synchronous: 'NORMAL' },
  )
  const flightCheck = defineFlightCheck(() => readFlightFile(file))
  await using kernel = createKernel({ store, workflows: [flightCheck] })
  const others = Array.from({ length: 101 }, (_, i) => `check-other-${i}`)
  const { hash } = await readFlightFile(file)
  await Promise.all(others.map((runId) => kernel.start(flightCheck, { file: hash }, { runId })))

  const { code, stdout } = await run([file])

  expect(code).toBe(0)
  expect(stdout).toMatch(/^odd {3}07:00 {2}720 minutes$/m)
})

test('a run that was killed goes on where it was', async () => {
  const file = fileOf(flights)

  const killed = await run([file], { killAt: 'done  hour 05:00' })
  const { code, stdout } = await run([file, '--accept'])

  expect(killed.code).toBeNull()
  expect(code).toBe(0)
  expect(done(stdout)).not.toContain('hour 05:00')
  expect(done(stdout).at(-1)).toBe('hour 23:00')
  expect(stdout).toContain('{"accepted":true,"flights":24,"odd":1}')
})

test('a copy of a file is the same run', async () => {
  const file = fileOf(flights)
  const copy = path.join(folder, 'copy.json')
  copyFileSync(file, copy)

  const asked = await run([file])
  const answered = await run([copy, '--accept'])

  expect(asked.stdout).toContain('asks whether to accept them')
  expect(answered).toMatchObject({ code: 0, stderr: '' })
  expect(done(answered.stdout)).toEqual([])
  expect(answered.stdout).toContain('{"accepted":true,"flights":24,"odd":1}')
})

test.skipIf(process.platform === 'win32')('a file is read once, so it may be a pipe', async () => {
  const file = fileOf(flights.slice(0, 5))
  const program = [process.execPath, '--conditions=@varve/source', main, '/dev/stdin']

  const { stdout } = await promisify(execFile)('sh', ['-c', 'cat "$0" | "$@"', file, ...program], { cwd: folder })

  expect(stdout).toContain('{"accepted":true,"flights":5,"odd":0}')
})

test('flights that are not those that the run is on fail it', async () => {
  const file = fileOf(flights)
  await using store = await sqliteStore({ path: path.join(folder, 'checks.sqlite') }, { synchronous: 'NORMAL' })
  const flightCheck = defineFlightCheck(() => readFlightFile(file))
  await using kernel = createKernel({ store, workflows: [flightCheck] })

  const outcome = await kernel.start(flightCheck, { file: contentId('other flights') }, { runId: 'check-other' })

  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'DATA_CHANGED' } })
})

test('a file that holds no flights fails the run, and says why', async () => {
  const { code, stdout, stderr } = await run([fileOf({})])

  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(
    /^error: DATA_INVALID: check-[0-9a-f]{12} has failed: .+ JSON array of .+ or name another one\n$/,
  )
})

test.for([
  ['a file that is not there', ['nowhere.json'], /^error: DATA_UNREADABLE: .+; name a readable file\n$/],
  ['an unknown option', ['--frobnicate'], /^error: USAGE: Unknown option .+; usage: flight-check .+\n$/],
  ['no file', [], /^error: USAGE: .+; usage: flight-check .+\n$/],
  ['two files', ['a.json', 'b.json'], /^error: USAGE: .+; usage: flight-check .+\n$/],
  ['two answers', ['a.json', '--accept', '--refuse'], /^error: USAGE: .+; usage: flight-check .+\n$/],
] as const)('%s is told with a code, and what to do in this program', async ([, args, told]) => {
  const { code, stdout, stderr } = await run(args)

  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(told)
  expect(stderr).not.toMatch(/--(data|new)/)
  expect(readdirSync(folder)).toEqual([])
})

test('who reads the output may leave, and the run goes on', async () => {
  const file = fileOf(flights)

  const left = await run([file], { leaveAt: 'done  hour 00:00' })
  const { stdout } = await run([file])

  expect(left).toMatchObject({ code: 0, stderr: '' })
  expect(done(stdout)).toEqual([])
  expect(stdout).toMatch(/^odd {3}07:00 {2}720 minutes$/m)
})

test.runIf(process.platform === 'linux')(
  'output for which the disk has no room is told once, and the run goes on',
  async () => {
    const file = fileOf(flights)
    const full = openSync('/dev/full', 'w')

    const lost = await run([file], { stdout: full })
    closeSync(full)
    const { stdout } = await run([file])

    expect(lost.code).toBe(1)
    expect(lost.stderr).toMatch(/^error: ENOSPC: .+\n$/)
    expect(done(stdout)).toEqual([])
    expect(stdout).toMatch(/^odd {3}07:00 {2}720 minutes$/m)
  },
)

test('control characters in a file are not given to the terminal', async () => {
  const file = path.join(folder, 'flights.json')
  writeFileSync(file, '\u001b[2J[]')

  const { code, stderr } = await run([file])

  expect(code).toBe(1)
  expect(stderr).toContain('\uFFFD[2J')
  expect(stderr).not.toContain('\u001b')
})
