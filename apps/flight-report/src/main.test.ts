import type {} from '../../../test/bundles/global-setup.ts'
import type {} from '../../../test/postgres/global-setup.ts'
import type { Store } from '@varve/store'
import { postgresStore } from '@varve/store-postgres'
import { sqliteStore } from '@varve/store-sqlite'
import SQLite from 'better-sqlite3'
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import { runFromSources, runProgram, startProgram, temporaryFolder, type Program } from './testing/program.ts'
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

const succeeded = (stdout: string): number => stdout.match(/ActionSucceeded +hours:item:\d\d:00/g)?.length ?? 0

/** The states that ran, and those whose result is another run's, by the table at the end. */
function states(stdout: string): { readonly ran: readonly string[]; readonly cached: readonly string[] } {
  const named = (result: string): readonly string[] =>
    [...stdout.matchAll(new RegExp(`^ (\\S+(?: \\S+)?) +${result}`, 'gm'))].map(([, name = '']) => name)
  return { ran: named('ran'), cached: named('cached from run') }
}

/** Reports that were published; attempts that were kept from it have left an empty file. */
const publishedReports = (): readonly string[] => {
  const dir = path.join(folder, '.varve', 'published')
  return readdirSync(dir).filter((name) => statSync(path.join(dir, name)).size > 0)
}

/** Of a program that does not come to the end of an hour before its test is over, however slow the machine is. */
const STANDING = ['--pace', '60000']

/** Flights that nobody can read before they are written, each time by one program. */
function heldFlights(): { readonly data: readonly string[]; readonly write: () => Promise<void> } {
  const file = path.join(folder, 'held-flights.json')
  spawnSync('mkfifo', [file])
  return { data: ['--data', file], write: async () => writeFile(file, JSON.stringify(fewFlights)) }
}

/** Resolves when the program has the run. */
async function untilItHas({ runs }: Store, { pid }: Program): Promise<void> {
  while ((await runs.find('flight-report-1'))?.lease?.owner.pid !== pid) await setImmediate()
}

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
  test('publishes from the sources, as `npm start` runs them, what it publishes as the one file that is tested here', async () => {
    await runProgram(folder, [...few, '--approve'])
    const expected = published()
    rmSync(path.join(folder, '.varve'), { recursive: true })

    const { code, stdout, stderr } = await runFromSources(folder, [...few, '--approve'])

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('flight-report-1, completed, 88 events')
    expect(published()).toBe(expected)
  })

  test('prints the path, the timeline and the head hash that the report stands on', async () => {
    const { code, stdout } = await runProgram(folder, [...few, '--approve'])

    expect(code).toBe(0)
    expect(stdout).toContain(report())
    expect(stdout).toMatch(/^Run {8}flight-report-1, completed, 88 events$/m)
    expect(stdout).toMatch(/^Head hash {2}[0-9a-f]{64}$/m)
    expect(stdout).not.toContain('approved by default')
    expect(stdout.match(/^ +\d+ +[\d.]+ s {3}\w+/gm)).toHaveLength(88)
    // Everything that it writes lies in .varve, and nothing temporary stays.
    expect(
      readdirSync(path.join(folder, '.varve'))
        .filter((name) => !name.startsWith('runs.'))
        .toSorted(),
    ).toEqual(['published', 'report.html'])
    expect(readdirSync(path.join(folder, '.varve', 'published'))).toEqual([
      expect.stringMatching(/^flight-report-1-[0-9a-f]{8}\.1\.html$/),
    ])
    expect(readdirSync(folder).toSorted()).toEqual(['.varve', 'few-flights.json'])
  })

  test('that the editor rejects ends well, and publishes nothing', async () => {
    const { code, stdout, stderr } = await runProgram(folder, [...few, '--reject'])

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('Rejected')
    expect(stdout).toContain('flight-report-1, rejected')
    expect(stdout).toMatch(/^ approval +refused *$/m)
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
    expect(stdout).toContain('24 of 24 hours reused, continuing with hours')
  })

  test('cannot be killed at an hour that it has passed', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])

    const { code, stderr } = await runProgram(folder, [...few, '--kill-after', '7'])

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: HOURS_PASSED: .+--new\n$/)
  })

  test.runIf(process.platform === 'linux')(
    'goes on when the disk has no room for its output, and says so once',
    async () => {
      const command = [process.execPath, inject('program'), ...few]
      const lost = spawnSync('sh', ['-c', '"$0" "$@" > /dev/full', ...command], { cwd: folder, encoding: 'utf8' })

      const { stdout } = await runProgram(folder, ['--verify'])

      expect(lost.status).toBe(1)
      expect(lost.stderr).toMatch(/^error: ENOSPC: .+\n$/)
      expect(stdout).toContain('flight-report-1, 88 events')
      expect(existsSync(report())).toBe(true)
    },
  )

  test('cannot be killed at an hour that it does not fold', async () => {
    await runProgram(folder, [...few, '--since', '20', '--kill-after', '1'])

    const { code, stdout, stderr } = await runProgram(folder, [...few, '--kill-after', '5'])

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: HOURS_MISSING: flight-report-1 folds 4 hours .+--new\n$/)
  })

  test('says at its end that it did not come to where it was to be killed', async () => {
    const { code, stdout } = await runProgram(folder, [...few, '--kill-at-event', '500'])

    expect(code).toBe(0)
    expect(stdout).toMatch(/^Not killed the run ended with 88 events before .+500 events$/m)
  })

  test('is left alone by --new', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])

    const { stdout } = await runProgram(folder, [...few, '--new'])
    const { stdout: later } = await runProgram(folder, few)

    expect(stdout).toContain('flight-report-2, completed')
    expect(later).toContain('Continuing run flight-report-1\n7 of 24 hours reused, continuing at 07:00')
  })

  test('is released on SIGINT, which says how to go on', async () => {
    await runProgram(folder, [...few, '--kill-after', '6'])
    const program = startProgram(folder, [...few, ...STANDING])
    await using store = await sqliteStore({ path: database() }, { migrate: false })
    await untilItHas(store, program)
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
    const { data, write } = heldFlights()
    const first = startProgram(folder, data)
    await first.printed('Starting run flight-report-1')
    await using store = await sqliteStore({ path: database() }, { migrate: false })
    await untilItHas(store, first)
    const second = startProgram(folder, data)
    await second.printed('following it')
    await write()

    const [one, two] = await Promise.all([first.ended, second.ended])

    expect(two.stdout).toContain(`Process ${first.pid} is at work on this run: following it`)
    expect(two.stdout).toContain('24 of 24 hours folded')
    for (const { code, stderr, stdout } of [one, two]) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('flight-report-1, completed, 88 events')
    }
  })

  test('is one run when two processes start at the same time', async () => {
    const { data, write } = heldFlights()
    const both = [startProgram(folder, data), startProgram(folder, data)]
    await Promise.all(both.map(async (program) => program.printed('run flight-report-')))
    await write()

    for (const { code, stdout, stderr } of await Promise.all(both.map(async ({ ended }) => ended))) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('flight-report-1, completed, 88 events')
    }
  })

  test('is taken over by the process that follows it when its own is killed', async () => {
    await runProgram(folder, [...few, '--kill-after', '6'])
    const first = startProgram(folder, [...few, ...STANDING])
    await using store = await sqliteStore({ path: database() }, { migrate: false })
    await untilItHas(store, first)
    const second = startProgram(folder, few)
    await second.printed('following it')
    first.kill('SIGKILL')

    const { code, stdout } = await second.ended

    expect(code).toBe(0)
    expect(stdout).toContain('flight-report-1, completed')
    expect(succeeded(stdout)).toBe(24)
  })
})

/** What runs in every run: it reaches outside. */
const ALWAYS = ['load', 'publish']
/** What stands on the statistics of the day. */
const PAGES = ['delayByHour', 'lateByHour', 'flightsByHour', 'delayByDistance', 'lateByDistance']
  .map((name) => `charts ${name}`)
  .concat('report')

describe('another run', () => {
  test('over the same flights takes every result over, and says from which run', async () => {
    const first = await runProgram(folder, few)
    const expected = published()

    const { code, stdout } = await runProgram(folder, few)

    expect(states(first.stdout).cached).toEqual([])
    expect(states(first.stdout).ran).toHaveLength(35)
    expect(code).toBe(0)
    expect(states(stdout).ran).toEqual(ALWAYS)
    expect(states(stdout).cached).toHaveLength(33)
    expect(stdout).toContain('24 of 24 hours folded, 24 of them cached')
    expect(stdout).toMatch(/^Reused {5}33 of 36 results, from flight-report-1$/m)
    expect(published()).toBe(expected)
  })

  test('that begins at another hour runs what depends on that, and explains it', async () => {
    await runProgram(folder, few)

    const { code, stdout } = await runProgram(folder, [...few, '--since', '18', '--explain'])

    expect(code).toBe(0)
    expect(states(stdout).ran.toSorted()).toEqual([...ALWAYS, 'since', 'merge', ...PAGES].toSorted())
    expect(states(stdout).cached).toEqual([
      'partition',
      ...['18', '19', '20', '21', '22', '23'].map((hour) => `hours ${hour}:00`),
    ])
    expect(stdout).toMatch(/^ since +ran +changed since flight-report-1: params\.since *$/m)
    expect(stdout).toMatch(/^ merge +ran +changed since flight-report-1: needs\.hours, needs\.since *$/m)
    expect(stdout).toMatch(
      /^ hours 18:00 +cached from run flight-report-1 +equal to hours 18:00 of run flight-report-1 *$/m,
    )
    expect(stdout).toMatch(/^ approval +approved +asks a person in every run *$/m)
    expect(published()).toContain('that left at 18:00 or later')
    expect(published().match(/<th scope="row">/g)).toHaveLength(6)
  })

  test('over flights of which one has changed folds the hour of that one alone', async () => {
    await runProgram(folder, few)
    const changed = fewFlights.map((flight) => (flight.time === 20.5 ? { ...flight, delay: flight.delay + 1 } : flight))
    writeFileSync(path.join(folder, 'few-flights.json'), JSON.stringify(changed))

    const { stdout } = await runProgram(folder, [...few, '--explain'])

    expect(states(stdout).ran.toSorted()).toEqual([...ALWAYS, 'partition', 'hours 20:00', 'merge', ...PAGES].toSorted())
    expect(stdout).toMatch(/^ partition +ran +changed since flight-report-1: needs\.flights *$/m)
    expect(stdout).toMatch(/^ hours 20:00 +ran +changed since flight-report-1: item *$/m)
  })

  test('makes the same when several states run at once', async () => {
    await runProgram(folder, few)
    const expected = published()

    const { code, stdout } = await runProgram(folder, [...few, '--store', 'memory', '--at-once', '8'])

    expect(code).toBe(0)
    expect(stdout).toMatch(/(ActionRequested +hours:item:\d\d:00\s+\d+ +[\d.]+ s +){7}ActionRequested +hours:item/)
    expect(published()).toBe(expected)
  })

  test('in another store publishes a report of its own, though it has the same name', async () => {
    await runProgram(folder, [...few, '--store', 'memory'])

    const { code } = await runProgram(folder, [...few, '--store', 'memory'])

    expect(code).toBe(0)
    expect(publishedReports()).toHaveLength(2)
  })

  test('takes over what a run has folded that was killed', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])

    const { stdout } = await runProgram(folder, [...few, '--new'])

    expect(states(stdout).cached).toContain('hours 06:00')
    expect(states(stdout).ran).toContain('hours 07:00')
  })
})

describe('killed at any moment', () => {
  test('a run goes on, and publishes once what an undisturbed run publishes', { timeout: 180_000 }, async () => {
    const undisturbed = await runProgram(folder, [...few, '--store', 'memory'])
    const expected = published()
    rmSync(path.join(folder, '.varve'), { recursive: true })
    let kills = 0
    let last = await runProgram(folder, [...few, '--kill-at-event', '1'])
    for (let seq = 9; last.signal === 'SIGKILL'; seq += 9) {
      kills++
      last = await runProgram(folder, [...few, '--kill-at-event', String(seq)])
    }

    expect(undisturbed.code).toBe(0)
    expect(kills).toBeGreaterThan(8)
    expect(last).toMatchObject({ code: 0, stderr: '' })
    expect(last.stdout.match(/Resumed/g)).toHaveLength(1)
    expect(publishedReports()).toHaveLength(1)
    expect(published()).toBe(expected)
  })

  test('with its publication under way, it finds out that it has not published, and does it once', async () => {
    const { stdout } = await runProgram(folder, few)
    const seq = /^ +(\d+) +[\d.]+ s +ActionRequested +publish *$/m.exec(stdout)?.[1] ?? ''
    rmSync(path.join(folder, '.varve'), { recursive: true })
    const killed = await runProgram(folder, [...few, '--kill-at-event', seq])

    const { code, stdout: continued } = await runProgram(folder, few)

    expect(killed.signal).toBe('SIGKILL')
    expect(code).toBe(0)
    expect(continued).toContain('24 of 24 hours reused, continuing with publish')
    expect(continued.match(/Resumed/g)).toHaveLength(1)
    expect(publishedReports()).toEqual([expect.stringMatching(/^flight-report-1-[0-9a-f]{8}\.2\.html$/)])
  })

  test('a run that has its flights needs their file no more', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])
    rmSync(path.join(folder, 'few-flights.json'))

    const { code, stdout } = await runProgram(folder, [])

    expect(code).toBe(0)
    expect(stdout).toContain('7 of 24 hours reused, continuing at 07:00')
    expect(published()).toContain('<dd>4,800</dd>')
  })
})

describe('a damaged artifact', () => {
  /** Turns the first artifact that an execution has made into zeros. */
  function damage(key: string): void {
    const store = new SQLite(database())
    const bodies = store.prepare("select body from events where type = 'ActionSucceeded'").pluck().all() as string[]
    const body = bodies.find((text) => (JSON.parse(text) as { readonly key: string }).key === key)
    const { output } = JSON.parse(body ?? '{}') as { readonly output?: unknown }
    const artifact = /sha256:[0-9a-f]{64}/.exec(JSON.stringify(output))?.[0]
    const chunks = store.prepare(
      'update artifact_chunks set bytes = zeroblob(length(bytes)) where upload = (select upload from artifacts where id = ?)',
    )
    expect(chunks.run(artifact).changes).toBeGreaterThan(0)
    store.close()
  }

  test('is named by --verify, and made again by --remake', async () => {
    await runProgram(folder, few)
    damage('hours:item:07:00')
    damage('load')

    const verified = await runProgram(folder, ['--verify'])
    const remade = await runProgram(folder, [...few, '--remake'])
    const again = await runProgram(folder, ['--verify'])

    expect(verified.code).toBe(1)
    expect(verified.stdout).toMatch(/^Damaged {4}load, sha256:[0-9a-f]{64}\nDamaged {4}hours 07:00, sha256:/)
    expect(remade).toMatchObject({ code: 0, stderr: '' })
    expect(remade.stdout).toMatch(/^Remade {5}load\nRemade {5}hours 07:00$/m)
    expect(again.code).toBe(0)
    expect(again.stdout).toBe('Verified   flight-report-1, 88 events, every artifact is whole\n')
  })

  test('is made again also when the engine had made it, and not when it was published', async () => {
    await runProgram(folder, few)
    for (const key of ['hours:items', 'hours', 'charts', 'approval', 'publish']) damage(key)

    const { code, stdout } = await runProgram(folder, ['--remake'])

    expect(code).toBe(1)
    expect([...stdout.matchAll(/^Remade {5}(.+)$/gm)].map(([, key]) => key)).toEqual([
      ...['hours:items', 'hours', 'charts', 'approval'],
    ])
    expect(stdout).toMatch(/^Not remade publish: NO_OUTPUT: .+$/m)
    expect(stdout).toContain('damaged artifacts: 1\n')
  })

  test('is made again by the next run that would take it over', async () => {
    await runProgram(folder, few)
    damage('hours:item:07:00')

    const { code, stdout } = await runProgram(folder, [...few, '--explain'])
    const verified = await runProgram(folder, ['--verify'])

    expect(code).toBe(0)
    expect(states(stdout).ran.toSorted()).toEqual([...ALWAYS, 'hours 07:00'].toSorted())
    expect(stdout).toMatch(/^ hours 07:00 +ran +nothing changed, but the output that was kept was gone or damaged *$/m)
    expect(verified.code).toBe(0)
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
    ['an event that no log has', ['--kill-at-event', '0']],
    ['nothing at once', ['--at-once', '0']],
    ['an hour that no day has', ['--since', '24']],
    ['a time between two hours', ['--since', '18:30']],
    ['two answers', ['--approve', '--reject']],
    ['a kill that memory does not survive', ['--store', 'memory', '--kill-after', '7']],
    ['a kill after more hours than are folded', ['--kill-after', '3', '--since', '22']],
    ['to verify a run that is to be started', ['--verify', '--new']],
    ['to make again from another hour on', ['--verify', '--remake', '--since', '3']],
    ['to verify with an answer', ['--verify', '--approve']],
    ['to verify and be killed', ['--verify', '--kill-at-event', '9']],
    ['to make again in parallel', ['--remake', '--at-once', '4']],
    ['to verify with a file, which is not read', ['--verify', '--data', 'flights.json']],
    ['to verify what memory has not', ['--store', 'memory', '--verify']],
  ] as const)('%s is refused with the usage', async ([, args]) => {
    const { code, stdout, stderr } = await runProgram(folder, args)

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .+\n\nUsage: /)
    expect(existsSync(path.join(folder, '.varve'))).toBe(false)
  })

  test('there is nothing to verify before the first run', async () => {
    const { code, stderr } = await runProgram(folder, ['--verify'])

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: NO_RUN: .+\n$/)
  })

  test('another hour to begin with than before is refused', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])

    const { code, stderr } = await runProgram(folder, [...few, '--since', '18'])

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: SINCE_CHANGED: .+--new\n$/)
  })

  test('postgres without DATABASE_URL is refused with the remedy', async () => {
    const { code, stderr } = await runProgram(folder, [...few, '--store', 'postgres'])

    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: DATABASE_URL_MISSING: set DATABASE_URL.+\n$/)
  })

  test('a server that does not answer can be left with SIGINT', async () => {
    const mute = createServer()
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as AddressInfo
    const env = { DATABASE_URL: `postgres://nobody@127.0.0.1:${port}/nothing` }
    const program = startProgram(folder, [...few, '--store', 'postgres'], env)
    mute.once('connection', () => program.kill('SIGINT'))

    const { signal, stderr } = await program.ended
    mute.close()

    expect({ signal, stderr }).toEqual({ signal: 'SIGINT', stderr: '' })
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
    const count = (): unknown => store.prepare('select count(*) from events').pluck().get()
    const before = count()
    for (const table of ['lone_events', 'shared_events']) {
      store.exec(
        `update ${table} set body = replace(body, '"dataset":"few', '"dataset":"two') where type = 'FactRecorded'`,
      )
    }

    const { code, stdout, stderr } = await runProgram(folder, few)
    const after = count()
    store.close()

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: CORRUPT_LOG: seq \d+ .+ start another one with --new\n$/)
    expect(after).toBe(before)
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
    expect(stderr).toContain('name another one with --data')
  })

  test('control characters in a file of flights are not given to the terminal', async () => {
    const data = path.join(folder, 'escape.json')
    writeFileSync(data, '\u001b[2J[]')

    const { code, stderr } = await runProgram(folder, ['--data', data])

    expect(code).toBe(1)
    expect(stderr).toMatch(oneLine)
    expect(stderr).toContain('\uFFFD[2J')
    expect(stderr).not.toContain('\u001b')
  })

  test('another file of flights than before is refused, and the run can go on with the right one', async () => {
    await runProgram(folder, [...few, '--kill-after', '7'])
    const other = path.join(folder, 'other.json')
    writeFileSync(other, JSON.stringify(fewFlights.slice(1)))

    const refused = await runProgram(folder, ['--data', other])
    const { code, stdout } = await runProgram(folder, few)

    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^error: DATA_CHANGED: .+ --data .+ --new\n$/)
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
    await runProgram(folder, [...args, '--kill-after', '6'], env)
    const first = startProgram(folder, [...args, ...STANDING], env)
    await using store = await postgresStore({ url }, { migrate: false })
    await untilItHas(store, first)
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
