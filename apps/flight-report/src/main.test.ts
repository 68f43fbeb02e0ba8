import type {} from '../../../test/postgres/global-setup.ts'
import SQLite from 'better-sqlite3'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import { runProgram, startProgram, temporaryFolder } from './testing/program.ts'
import { runInTerminal } from './testing/terminal.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** A made-up day: enough flights for charts, few enough to be read at once. */
const fewFlights = Array.from({ length: 4800 }, (_, flight) => ({
  delay: ((flight * 7) % 61) - 20,
  distance: 100 + ((flight * 13) % 2800),
  time: (flight % 240) / 10,
}))

let folder: string
let remove: () => void
/** Options for a run over few flights. */
let few: readonly string[]

beforeEach(() => {
  ;({ folder, remove } = temporaryFolder())
  const data = path.join(folder, 'few-flights.json')
  writeFileSync(data, JSON.stringify(fewFlights))
  few = ['--data', data]
})
afterEach(() => remove())

const report = (): string => path.join(folder, '.varve', 'report.html')
const database = (): string => path.join(folder, '.varve', 'runs.sqlite')

/** What the report says; its origin, which lies after it, differs from run to run. */
const published = (): string => /<main>.*<\/main>/s.exec(readFileSync(report(), 'utf8'))?.[0] ?? ''

const succeeded = (stdout: string): number => stdout.match(/ActionSucceeded +hour \d\d:00/g)?.length ?? 0

describe('a run over the real flights', () => {
  test('is killed after the 7th hour, continues at 07:00, and publishes what an undisturbed run publishes', async () => {
    const undisturbed = await runProgram(folder, [])
    const expected = published()
    const killed = await runProgram(folder, ['--kill-after', '7'])
    const continued = await runProgram(folder, [])

    expect(undisturbed).toMatchObject({ code: 0, stderr: '' })
    expect(succeeded(undisturbed.stdout)).toBe(24)
    expect(expected).toContain('<dd>200,000</dd>')
    expect(killed).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(continued).toMatchObject({ code: 0, stderr: '' })
    expect(continued.stdout).toMatch(/^7 of 24 hours reused, continuing at 07:00$/m)
    expect(continued.stdout).toContain('approved by default')
    expect(succeeded(continued.stdout)).toBe(24)
    expect(published()).toBe(expected)
  })
})

describe('a run over few flights', () => {
  test('prints the path, the timeline and the head hash that the report stands on', async () => {
    const { code, stdout } = await runProgram(folder, [...few, '--approve'])

    expect(code).toBe(0)
    expect(stdout).toContain(report())
    expect(stdout).toMatch(/^Run {8}flight-report-1, completed, 56 events$/m)
    expect(stdout).toMatch(/^Head hash {2}[0-9a-f]{64}$/m)
    expect(stdout).not.toContain('approved by default')
    expect(stdout.match(/^ +\d+ +[\d.]+ s {3}\w+/gm)).toHaveLength(56)
    // Everything that it writes lies in .varve, and nothing temporary stays.
    expect(readdirSync(path.join(folder, '.varve')).filter((name) => !name.startsWith('runs.'))).toEqual([
      'report.html',
    ])
    expect(readdirSync(folder).toSorted()).toEqual(['.varve', 'few-flights.json'])
  })

  test('that the editor rejects ends well, and publishes nothing', async () => {
    const { code, stdout, stderr } = await runProgram(folder, [...few, '--reject'])

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('Rejected')
    expect(stdout).toContain('flight-report-1, completed')
    expect(existsSync(report())).toBe(false)
  })

  test('that has ended is followed by a new one', async () => {
    await runProgram(folder, [...few, '--reject'])

    const { stdout } = await runProgram(folder, [...few, '--approve'])

    expect(stdout).toContain('Starting run flight-report-2')
    expect(stdout).not.toContain('reused')
  })

  test('can be kept in memory', async () => {
    const { code, stdout } = await runProgram(folder, [...few, '--store', 'memory'])

    expect(code).toBe(0)
    expect(stdout).toContain('flight-report-1, completed')
    expect(existsSync(database())).toBe(false)
  })

  test('survives being killed twice, the second time with all hours done', async () => {
    await runProgram(folder, [...few, '--kill-after', '23'])
    const again = await runProgram(folder, [...few, '--kill-after', '24'])

    const { code, stdout } = await runProgram(folder, few)

    expect(again.signal).toBe('SIGKILL')
    expect(again.stdout).toContain('23 of 24 hours reused, continuing at 23:00')
    expect(code).toBe(0)
    expect(stdout).toContain('24 of 24 hours reused, continuing at the approval')
  })

  test('cannot be killed at an hour that it has passed', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])

    const { code, stderr } = await runProgram(folder, [...few, '--kill-after', '7'])

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: HOURS_PASSED: .+--new\n$/)
  })

  test('is left alone by --new', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])

    const { stdout } = await runProgram(folder, [...few, '--new'])
    const { stdout: later } = await runProgram(folder, few)

    expect(stdout).toContain('flight-report-2, completed')
    expect(later).toContain('Continuing run flight-report-1\n7 of 24 hours reused, continuing at 07:00')
  })

  test('is released on SIGINT, which says how to go on', async () => {
    const program = startProgram(folder, [...few, '--pace', '50'])
    await program.printed('6 of 24 hours folded')
    program.kill('SIGINT')
    const stopped = await program.ended
    const leases = new SQLite(database(), { readonly: true })
    const lease = leases.prepare('select lease_until from runs').pluck().get()
    leases.close()

    const { code, stdout } = await runProgram(folder, few)

    expect(stopped.code).toBe(130)
    expect(stopped.stderr).toMatch(/^Stopped\. Run flight-report-1 is released .+npm start$/m)
    expect(lease).toBeNull()
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\d+ of 24 hours reused, continuing at \d\d:00$/m)
    expect(stdout).not.toContain('ActionFailed')
  })

  test('is followed by a second process while the first one drives it', async () => {
    const first = startProgram(folder, [...few, '--pace', '200'])
    await first.printed('6 of 24 hours folded')
    const second = startProgram(folder, few)

    const [one, two] = await Promise.all([first.ended, second.ended])

    expect(two.stdout).toContain(`Process ${first.pid} is at work on this run: following it`)
    expect(two.stdout).toContain('24 of 24 hours folded')
    for (const { code, stderr, stdout } of [one, two]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('flight-report-1, completed, 56 events')
    }
  })

  test('is one run when two processes start at the same time', async () => {
    // Slow enough for the second to begin before the first has ended.
    const slowly = [...few, '--pace', '200']
    const both = await Promise.all([runProgram(folder, slowly), runProgram(folder, slowly)])

    for (const { code, stdout, stderr } of both) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('flight-report-1, completed, 56 events')
    }
  })

  test('is taken over by the process that follows it when its own is killed', async () => {
    const first = startProgram(folder, [...few, '--pace', '200'])
    await first.printed('6 of 24 hours folded')
    const second = startProgram(folder, few)
    await second.printed('following it')
    first.kill('SIGKILL')

    const { code, stdout } = await second.ended

    expect(code).toBe(0)
    expect(stdout).toContain('flight-report-1, completed')
    expect(succeeded(stdout)).toBe(24)
  })
})

describe('in a terminal', () => {
  test('the editor is asked, and a progress bar is shown', async () => {
    const { code, screen } = await runInTerminal(folder, few, 'y\r')

    expect(code).toBe(0)
    expect(screen).toContain('Publish the report?')
    expect(screen).toMatch(/█+ {2}24 of 24 hours/)
    expect(screen).toContain('Published')
    expect(existsSync(report())).toBe(true)
  })

  test('the editor may say no', async () => {
    const { code, screen } = await runInTerminal(folder, few, 'n\r')

    expect(code).toBe(0)
    expect(screen).not.toContain('Published')
    expect(existsSync(report())).toBe(false)
  })

  test('Ctrl-C at the question leaves it open for the next start', async () => {
    const { code, screen } = await runInTerminal(folder, few, '\u0003')
    const next = await runProgram(folder, ['--approve', ...few])

    expect(code).toBe(130)
    expect(screen).toContain('npm start')
    expect(next).toMatchObject({ code: 0, stderr: '' })
    expect(next.stdout).toContain('flight-report-1, completed')
  })
})

describe('bad input', () => {
  const oneLine = /^error: [A-Z_]+: .+\n$/

  test.for([
    ['an unknown option', ['--frobnicate']],
    ['an argument', ['report']],
    ['an unknown store', ['--store', 'tape']],
    ['hours that are no number', ['--kill-after', 'seven']],
    ['no hour at all', ['--kill-after', '0']],
    ['more hours than a day has', ['--kill-after', '25']],
    ['two answers', ['--approve', '--reject']],
    ['a kill that memory does not survive', ['--store', 'memory', '--kill-after', '7']],
  ] as const)('%s is refused with the usage', async ([, args]) => {
    const { code, stdout, stderr } = await runProgram(folder, args)

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .+\n\nUsage: /)
    expect(existsSync(path.join(folder, '.varve'))).toBe(false)
  })

  test('postgres without DATABASE_URL is refused with the remedy', async () => {
    const { code, stderr } = await runProgram(folder, [...few, '--store', 'postgres'])

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: DATABASE_URL_MISSING: set DATABASE_URL.+\n$/)
  })

  test('an unreachable server is said so', async () => {
    const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' }

    const { code, stderr } = await runProgram(folder, [...few, '--store', 'postgres'], env)

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: STORE_UNREACHABLE: .+\n$/)
  })

  test('a file that is not a database is left as it is', async () => {
    mkdirSync(path.join(folder, '.varve'))
    writeFileSync(database(), 'Dear diary, '.repeat(100))

    const { code, stderr } = await runProgram(folder, few)

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: NOT_A_STORE: .+\n$/)
    expect(readFileSync(database(), 'utf8')).toBe('Dear diary, '.repeat(100))
  })

  test('a database of somebody else is left as it is', async () => {
    mkdirSync(path.join(folder, '.varve'))
    const theirs = new SQLite(database())
    theirs.exec('create table diary (entry text)')
    theirs.close()

    const { code, stderr } = await runProgram(folder, few)

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: NOT_A_STORE: .+\n$/)
  })

  test('a changed event is found before anything is done', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])
    const store = new SQLite(database())
    store.exec(`update events set body = replace(body, '"late":', '"late":1') where seq = 9`)

    const { code, stdout, stderr } = await runProgram(folder, few)
    const events = store.prepare('select count(*) from events').pluck().get()
    store.close()

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: CORRUPT_LOG: seq 9 .+ start another one with --new\n$/)
    expect(events).toBe(18)
  })

  test('a damaged file of flights fails the run, and names the place', async () => {
    const data = path.join(folder, 'damaged.json')
    writeFileSync(
      data,
      JSON.stringify([
        { delay: 1, distance: 2, time: 3 },
        { delay: 1, time: 4 },
      ]),
    )

    const { code, stderr } = await runProgram(folder, ['--data', data])

    expect(code).toBe(1)
    expect(stderr).toMatch(oneLine)
    expect(stderr).toContain('DATA_INVALID')
    expect(stderr).toContain('[1.distance]')
    expect(stderr).toContain('flight-report-1 has failed')
  })

  test('another file of flights than before is refused, and the run can go on with the right one', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])
    const other = path.join(folder, 'other.json')
    writeFileSync(other, JSON.stringify(fewFlights.slice(1)))

    const refused = await runProgram(folder, ['--data', other])
    const { code, stdout } = await runProgram(folder, few)

    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^error: DATA_CHANGED: .+\n$/)
    expect(code).toBe(0)
    expect(stdout).toContain('7 of 24 hours reused, continuing at 07:00')
  })

  test('shows where an error comes from under DEBUG=varve alone', async () => {
    const args = [...few, '--store', 'postgres']

    const { code, stderr } = await runProgram(folder, args, { DEBUG: 'varve' })

    expect(code).toBe(1)
    expect(stderr).toMatch(/DATABASE_URL_MISSING.+\n +at /)
  })
})

describe('on Postgres', () => {
  let url: string
  let dropDatabase: () => Promise<void>

  beforeEach(async () => {
    const name = `flight_report_${randomUUID().replaceAll('-', '')}`
    const server = new pg.Client({ connectionString: inject('pgUrl') })
    await server.connect()
    await server.query(`create database ${name}`)
    const own = new URL(inject('pgUrl'))
    own.pathname = `/${name}`
    url = own.href
    dropDatabase = async () => {
      await server.query(`drop database ${name} with (force)`)
      await server.end()
    }
  })
  afterEach(() => dropDatabase())

  test('a run is killed and continued as on SQLite', async () => {
    const args = [...few, '--store', 'postgres']
    const env = { DATABASE_URL: url }
    await runProgram(folder, few)
    const expected = published()

    const killed = await runProgram(folder, [...args, '--kill-after', '7'], env)
    const continued = await runProgram(folder, args, env)

    expect(killed.signal).toBe('SIGKILL')
    expect(continued).toMatchObject({ code: 0, stderr: '' })
    expect(continued.stdout).toMatch(/^7 of 24 hours reused, continuing at 07:00$/m)
    expect(published()).toBe(expected)
  })

  test('a run is followed and released as on SQLite', async () => {
    const args = [...few, '--store', 'postgres']
    const env = { DATABASE_URL: url }
    const first = startProgram(folder, [...args, '--pace', '200'], env)
    await first.printed('6 of 24 hours folded')
    const second = startProgram(folder, args, env)
    await second.printed('following it')
    first.kill('SIGINT')

    const [stopped, { code, stdout }] = await Promise.all([first.ended, second.ended])

    expect(stopped.code).toBe(130)
    expect(stopped.stderr).toContain('npm start -- --store postgres')
    expect(code).toBe(0)
    expect(stdout).toContain('flight-report-1, completed')
  })
})
