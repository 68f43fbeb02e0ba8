import { execFile, execSync, spawn } from 'node:child_process'
import nodeCrypto, { getRandomValues, randomBytes, randomInt, randomUUID } from 'node:crypto'
import { performance as nodePerformance } from 'node:perf_hooks'
import { hrtime, uptime } from 'node:process'
import { setTimeout as nodeSetTimeout } from 'node:timers'
import { scheduler, setTimeout as promisedTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { kernelError } from '../testing/expected-errors.ts'
import { createGuard, unguarded, type PureFunction } from './guard.ts'

const step: PureFunction = { workflow: 'w', version: '1', name: 'step' }

const ignore = (): void => undefined

const guard = createGuard('throw', ignore)

class Day extends Date {}

/** What pure code may not do, as it is written, with what the error calls it. */
const impure: readonly (readonly [written: string, name: string, call: () => unknown])[] = [
  ['Date.now()', 'Date.now', () => Date.now()],
  ['new Date()', 'Date', () => new Date()],
  ['new (a class of dates)()', 'Date', () => new Day()],
  ['Date()', 'Date', () => Date()],
  ['performance.now()', 'performance.now', () => performance.now()],
  ['performance.now() of node:perf_hooks', 'performance.now', () => nodePerformance.now()],
  ['process.hrtime()', 'process.hrtime', () => process.hrtime()],
  ['process.hrtime.bigint()', 'process.hrtime.bigint', () => process.hrtime.bigint()],
  ['hrtime.bigint() of node:process', 'process.hrtime.bigint', () => hrtime.bigint()],
  ['process.uptime()', 'process.uptime', () => process.uptime()],
  ['uptime() of node:process', 'process.uptime', () => uptime()],
  ['Math.random()', 'Math.random', () => Math.random()],
  ['crypto.randomUUID()', 'crypto.randomUUID', () => crypto.randomUUID()],
  ['crypto.getRandomValues()', 'crypto.getRandomValues', () => crypto.getRandomValues(new Uint8Array(1))],
  ['getRandomValues() of node:crypto', 'crypto.getRandomValues', () => getRandomValues(new Uint8Array(1))],
  ['randomUUID() of node:crypto', 'crypto.randomUUID', () => randomUUID()],
  ['randomBytes() of node:crypto', 'crypto.randomBytes', () => randomBytes(1)],
  ['randomInt() of node:crypto', 'crypto.randomInt', () => randomInt(2)],
  ['default import of node:crypto', 'crypto.randomFillSync', () => nodeCrypto.randomFillSync(new Uint8Array(1))],
  ['setTimeout()', 'setTimeout', () => setTimeout(ignore)],
  ['setInterval()', 'setInterval', () => setInterval(ignore)],
  ['setImmediate()', 'setImmediate', () => setImmediate(ignore)],
  [
    'queueMicrotask()',
    'queueMicrotask',
    () => {
      queueMicrotask(ignore)
    },
  ],
  ['AbortSignal.timeout()', 'AbortSignal.timeout', () => AbortSignal.timeout(0)],
  ['setTimeout() of node:timers', 'setTimeout', () => nodeSetTimeout(ignore)],
  ['setTimeout() of node:timers/promises', 'timers/promises.setTimeout', () => promisedTimeout(0)],
  ['scheduler.wait() of node:timers/promises', 'timers/promises.scheduler.wait', () => scheduler.wait(0)],
  ['promisify(setTimeout)()', 'timers/promises.setTimeout', () => promisify(setTimeout)(0)],
  ['fetch()', 'fetch', () => fetch('data:,')],
  ['execSync() of node:child_process', 'child_process.execSync', () => execSync('true')],
  ['spawn() of node:child_process', 'child_process.spawn', () => spawn('true')],
  ['promisify(execFile)()', 'child_process.execFile', () => promisify(execFile)('true')],
  ['new Worker() of node:worker_threads', 'worker_threads.Worker', () => new Worker('', { eval: true })],
]

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

describe('in a pure function', () => {
  test.for(impure)('%s is trapped as %s', ([, name, call]) => {
    const calling = () => guard(step, call)

    expect(calling).toThrow(expect.objectContaining(kernelError('NONDETERMINISM')))
    expect(calling).toThrow(`step of w@1 uses ${name};`)
  })

  test.for(impure)('%s fails, even when the function catches the error', ([, , call]) => {
    const quiet = (): void => {
      try {
        call()
      } catch {
        // Nobody is to know.
      }
    }

    expect(() => {
      guard(step, quiet)
    }).toThrow(expect.objectContaining(kernelError('NONDETERMINISM')))
  })

  test('the error names the function, the workflow, the event and what to do instead', () => {
    const reducing = () => guard({ ...step, name: 'reduce', seq: 3 }, () => Date.now())

    expect(reducing).toThrow(
      'reduce of w@1 uses Date.now at seq 3; it must be pure: use ctx.now in the step, or read the clock in an action',
    )
  })

  test('dates of known times, arithmetic and output are free', () => {
    const pure = (): unknown => {
      console.debug('free')
      return [new Date(5).getTime(), new Date(2020, 1).getMonth(), new Day(7).getTime(), Date.UTC(1970), Math.max(1, 2)]
    }

    expect(guard(step, pure)).toEqual([5, 1, 7, 0, 2])
  })

  test('what fake timers and stubs have put there is trapped too, and is gone after them', () => {
    const now = Date.now
    vi.useFakeTimers({ now: 1000 })
    vi.stubGlobal('fetch', () => 'stub')
    vi.spyOn(Math, 'random').mockReturnValue(0.5)

    const calls: readonly (() => unknown)[] = [
      () => Date.now(),
      () => new Date(),
      () => setTimeout(ignore),
      () => fetch(''),
      () => Math.random(),
    ]
    for (const call of calls) {
      expect(() => guard(step, call)).toThrow(expect.objectContaining(kernelError('NONDETERMINISM')))
    }

    expect([Date.now(), new Date().getTime(), Math.random(), fetch('')]).toEqual([1000, 1000, 0.5, 'stub'])
    vi.useRealTimers()
    expect(Date.now).toBe(now)
  })
})

describe('outside of a pure function', () => {
  test.for(impure.filter(([, name]) => name !== 'worker_threads.Worker'))('%s works', ([, , call]) => {
    guard(step, () => undefined)

    const result = call()

    expect(() => result).not.toThrow()
    if (typeof result === 'object' && result !== null && 'hasRef' in result) clearTimeout(result as NodeJS.Timeout)
  })

  test('and after one that failed, everything works', () => {
    expect(() =>
      guard(step, () => {
        throw new Error('mine')
      }),
    ).toThrow('mine')

    expect(Date.now()).toBeGreaterThan(0)
  })

  test('traps look like what they stand for', async () => {
    const date = new Day()

    expect([Date.length, Date.name, setTimeout.name, setTimeout.length, Math.random.length]).toEqual([
      ...[7, 'Date', 'setTimeout'],
      ...[2, 0],
    ])
    expect(date).toBeInstanceOf(Day)
    expect(date).toBeInstanceOf(Date)
    expect(new Date().constructor).toBe(Date)
    expect(typeof Date()).toBe('string')
    expect('prototype' in Math.random).toBe(false)
    expect(await promisify(setTimeout)(0, 'value')).toBe('value')
    expect(await promisify(execFile)('echo', ['hi'])).toMatchObject({ stdout: 'hi\n' })
    expect(() => crypto.getRandomValues.call({} as typeof crypto, new Uint8Array(1))).toThrow(TypeError)
  })

  test('what was promisified before the kernel came is trapped as well', async () => {
    const early = (done: (error: unknown, value: string) => void): void => done(undefined, 'called back')
    Object.defineProperty(early, promisify.custom, { value: async () => 'promised' })
    // Node marks what it gives out as its own promisified form, as with execFile.
    promisify(early)
    vi.stubGlobal('fetch', early)
    const call = () => promisify(fetch as unknown as typeof early)()

    guard(step, ignore)

    expect(await call()).toBe('promised')
    expect(() => guard(step, call)).toThrow(expect.objectContaining(kernelError('NONDETERMINISM')))
  })

  test('many guards put one trap in place', () => {
    const { now } = Date

    for (let i = 0; i < 3; i++) createGuard('throw', ignore)(step, ignore)

    expect(Date.now).toBe(now)
  })
})

describe('a guard that warns', () => {
  test('lets pass, and tells once per workflow and function', () => {
    const warnings: Error[] = []
    const warning = createGuard('warn', (error) => warnings.push(error))

    for (const name of ['step', 'step', 'cancel'] as const) {
      expect(warning({ ...step, name }, () => Math.random() + Date.now())).toBeGreaterThan(1)
    }
    warning({ ...step, version: '2' }, () => Date.now())

    expect(warnings).toMatchObject(Array(3).fill(kernelError('NONDETERMINISM')))
    expect(warnings.map(({ message }) => message.split(' uses ')[0])).toEqual([
      ...['NONDETERMINISM: step of w@1', 'NONDETERMINISM: cancel of w@1', 'NONDETERMINISM: step of w@2'],
    ])
  })

  test('may use anything to tell', () => {
    const warning = createGuard('warn', () => Date.now())

    expect(warning(step, () => guard({ ...step, name: 'reduce' }, () => 1))).toBe(1)
    expect(warning(step, () => typeof Date.now())).toBe('number')
  })
})

test('a guard that is off lets pass', () => {
  expect(createGuard('off', ignore)).toBe(unguarded)
  expect(unguarded(step, () => typeof Date.now())).toBe('number')
})
