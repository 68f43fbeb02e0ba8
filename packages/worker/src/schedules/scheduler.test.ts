import { createKernel, type Kernel } from '@varve/kernel'
import { memoryStore } from '@varve/store-memory'
import { faultyStore, virtualClock } from '@varve/testing'
import { describe, expect, test } from 'vitest'
import { simple } from '../testing/samples.ts'
import { until } from '../testing/until.ts'
import { createWorker, type Worker } from '../worker.ts'
import { defineSchedule, type MissedTicks, type Schedule } from './schedule.ts'

const noon = Date.UTC(2026, 0, 1, 12)
const MINUTE = 60_000

const report = {
  id: 'report',
  workflow: simple,
  input: (at: Date): { n: number } => ({ n: (at.getTime() - noon) / MINUTE }),
}

function everyMinute(missed: MissedTicks = 'skip'): Schedule {
  return defineSchedule({ ...report, cron: '* * * * *', missed, tags: ['nightly'] })
}

interface Scene {
  readonly clock: ReturnType<typeof virtualClock>
  readonly kernelOf: () => Kernel
  readonly work: (kernel: Kernel, ...schedules: readonly Schedule[]) => Worker
  /** Minutes after noon of the ticks whose runs are there, oldest first. */
  readonly minutes: () => Promise<readonly number[]>
  /** How many runs have been driven to their end. */
  readonly ended: () => Promise<number>
}

function sceneOf(store = (clock: ReturnType<typeof virtualClock>) => memoryStore({ now: clock.now })): Scene {
  const clock = virtualClock(noon)
  const shared = store(clock)
  const kernelOf = (): Kernel => createKernel({ store: shared, clock, workflows: [simple] })
  const work: Scene['work'] = (kernel, ...schedules) => {
    const worker = createWorker({ kernel, schedules, signals: [], onWarning: () => undefined })
    worker.start()
    return worker
  }
  const minutes = async (): Promise<readonly number[]> => {
    const { items } = await shared.runs.list({ tags: ['schedule:report'] }, { limit: 1000 })
    return items
      .map(({ runId }) => (Date.parse(runId.slice('schedule:report:'.length)) - noon) / MINUTE)
      .sort((a, b) => a - b)
  }
  const ended = async (): Promise<number> =>
    (await shared.runs.list({ statuses: ['completed'] }, { limit: 1000 })).items.length
  return { clock, kernelOf, work, minutes, ended }
}

/** Lets a minute pass, and everything happen that it moves. */
async function minute({ clock, minutes, ended }: Scene, count: number): Promise<void> {
  clock.advance(MINUTE)
  await until(async () => (await minutes()).length === count && (await ended()) === count)
}

describe('a schedule', () => {
  test('starts a run per tick, with its input, queue and tags, and never one before its time', async () => {
    const scene = sceneOf()
    const kernel = scene.kernelOf()
    await using worker = scene.work(kernel, everyMinute())
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(MINUTE - 1)
    await until(() => worker.health().driving.length === 0)
    expect(await scene.minutes()).toEqual([])

    scene.clock.advance(1)
    await until(async () => (await scene.ended()) === 1)
    await minute(scene, 2)

    await until(() => worker.health().counts.ended === 2)
    const [run] = (await kernel.list({ tags: ['schedule:report', 'nightly'] })).items
    expect(run).toMatchObject({ runId: 'schedule:report:2026-01-01T12:02:00.000Z', queue: 'default' })
    expect(await kernel.run(run!.runId)).toMatchObject({ status: 'completed', output: 2 })
  })

  test('starts each tick once, however many workers have it', async () => {
    const scene = sceneOf()
    await using first = scene.work(scene.kernelOf(), everyMinute())
    await using second = scene.work(scene.kernelOf(), everyMinute())
    await until(() => scene.clock.timers > 3)

    for (let count = 1; count <= 5; count++) await minute(scene, count)

    await until(() => first.health().counts.ended + second.health().counts.ended === 5)
    expect(await scene.minutes()).toEqual([1, 2, 3, 4, 5])
  })

  test.each([
    ['skip', [2, 14]],
    ['latest', [2, 12, 14]],
    ['all', [2, 4, 6, 8, 10, 12, 14]],
  ] as const)('makes up for ticks that no worker was there for: %s', async (missed, expected) => {
    const scene = sceneOf()
    const schedule = defineSchedule({ ...report, cron: '*/2 * * * *', missed })
    const before = scene.work(scene.kernelOf(), schedule)
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(MINUTE)
    await until(() => scene.clock.timers > 1)
    await minute(scene, 1)
    await before.stop()
    scene.clock.advance(11.5 * MINUTE)

    await using after = scene.work(scene.kernelOf(), schedule)
    await until(async () => (await scene.ended()) === expected.length - 1)
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(0.5 * MINUTE)

    await until(async () => (await scene.ended()) === expected.length)
    expect(await scene.minutes()).toEqual(expected)
    expect(after.health().ok).toBe(true)
  })

  test('that is new makes up for nothing', async () => {
    const scene = sceneOf()
    await using worker = scene.work(scene.kernelOf(), everyMinute('all'))
    await until(() => scene.clock.timers > 1)

    await minute(scene, 1)

    expect(await scene.minutes()).toEqual([1])
    expect(worker.health().ok).toBe(true)
  })

  test('goes by the time of the store, also before this process has had anything to do with a run', async () => {
    const aheadMs = 10.5 * MINUTE
    const scene = sceneOf((clock) => memoryStore({ now: () => clock.now() + aheadMs }))
    await using worker = scene.work(scene.kernelOf(), everyMinute())
    await until(() => scene.clock.timers > 1)

    await minute(scene, 1)

    expect(await scene.minutes()).toEqual([11])
    expect(worker.health().ok).toBe(true)
  })

  test('makes up for what was missed also where a fork or a successor of its run is the newest', async () => {
    const scene = sceneOf()
    const first = scene.kernelOf()
    const before = scene.work(first, everyMinute('all'))
    await until(() => scene.clock.timers > 1)
    await minute(scene, 1)
    await before.stop()
    const tick = 'schedule:report:2026-01-01T12:01:00.000Z'
    scene.clock.advance(1000)
    await first.fork(tick, { at: 1, as: 'again' })
    scene.clock.advance(5 * MINUTE)

    await using _ = scene.work(scene.kernelOf(), everyMinute('all'))

    await until(async () => (await scene.minutes()).includes(6))
    expect((await scene.minutes()).filter((at) => !Number.isNaN(at))).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('starts no tick again whose run was removed, when its worker stood still and an older run is still there', async () => {
    const scene = sceneOf()
    const kernel = scene.kernelOf()
    const older = { runId: 'schedule:report:2026-01-01T11:00:00.000Z', tags: ['schedule:report'] }
    await kernel.start(simple, { n: -60 }, older)
    const schedule = defineSchedule({ ...report, cron: '2,6 12 * * *', missed: 'all', tags: ['daily'] })
    await using _ = scene.work(kernel, schedule)
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(MINUTE)
    await until(() => scene.clock.timers > 1)
    await minute(scene, 2)
    scene.clock.advance(1)
    const { removed } = await kernel.prune({ olderThanMs: 0, tags: ['daily'] })

    scene.clock.advance(3 * MINUTE)
    await until(() => scene.clock.timers > 1)
    await minute(scene, 2)

    expect(removed).toEqual(['schedule:report:2026-01-01T12:02:00.000Z'])
    expect(await scene.minutes()).toEqual([-60, 6])
  })

  test('takes no fork of its runs for a tick, whatever it is called', async () => {
    const scene = sceneOf()
    const first = scene.kernelOf()
    const before = scene.work(first, everyMinute('all'))
    await until(() => scene.clock.timers > 1)
    await minute(scene, 1)
    await before.stop()
    scene.clock.advance(1000)
    await first.fork('schedule:report:2026-01-01T12:01:00.000Z', { at: 1, as: 'schedule:report:again-1' })
    scene.clock.advance(5 * MINUTE)

    await using _ = scene.work(scene.kernelOf(), everyMinute('all'))

    await until(async () => (await scene.minutes()).includes(6))
    const [fork, ...ticks] = await scene.minutes()
    expect(fork).toBeLessThan(-1_000_000)
    expect(ticks).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('goes on where the store failed', async () => {
    const scene = sceneOf((clock) =>
      faultyStore(memoryStore({ now: clock.now }), [
        { call: 'events.append', nth: 1, fault: new Error('no space') },
        { call: 'runs.list', nth: 1, fault: new Error('no space') },
      ]),
    )
    await using worker = scene.work(scene.kernelOf(), everyMinute())
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(1000)
    await until(() => scene.clock.timers > 1)

    scene.clock.advance(MINUTE - 1000)
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(1000)

    await until(() => worker.health().counts.ended === 1)
    expect(await scene.minutes()).toEqual([1])
  })

  test('tells of an input that its workflow refuses, and goes on with the next tick', async () => {
    const scene = sceneOf()
    const warnings: Error[] = []
    const broken = defineSchedule({
      id: 'report',
      cron: '* * * * *',
      workflow: simple,
      input: (at) => {
        if (at.getTime() === noon + 2 * MINUTE) throw new Error('no report today')
        return { n: at.getTime() === noon + MINUTE ? NaN : 1 }
      },
    })
    await using worker = createWorker({
      kernel: scene.kernelOf(),
      schedules: [broken],
      signals: [],
      onWarning: (warning) => warnings.push(warning),
    })
    worker.start()
    await until(() => scene.clock.timers > 1)

    scene.clock.advance(MINUTE)
    await until(() => warnings.length === 1)
    await until(() => scene.clock.timers > 1)
    scene.clock.advance(MINUTE)
    await until(() => warnings.length === 2)
    await until(() => scene.clock.timers > 1)
    await minute(scene, 1)

    expect(warnings).toMatchObject([{ code: 'INVALID_INPUT' }, { code: 'INPUT_FAILED' }])
    expect(await scene.minutes()).toEqual([3])
  })

  test('refuses what could never start a run', () => {
    const options = { id: 'x', cron: '* * * * *', workflow: simple, input: () => ({ n: 1 }) }

    for (const wrong of [
      { cron: 'every day' },
      { cron: '61 * * * *' },
      { timezone: 'Mars/Olympus' },
      { id: 'x'.repeat(151) },
      { missed: 'some' as MissedTicks },
      { missed: Symbol('some') as never },
      { timezone: Symbol('zone') as never },
      { input: { n: 1 } as never },
      { workflow: undefined as never },
      { timeZone: 'Europe/Berlin' },
      ...[{ timezone: '' }, { timezone: null as never }, { timezone: 120 as never }],
      ...[{ cron: '0 0 30 2 *' }, { cron: '2100-01-01T00:00:00Z' }, { cron: new Date(4e12) as never }],
      { workflow: { name: 'simple', version: '1' } as never },
    ]) {
      expect(() => defineSchedule({ ...options, ...wrong })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      )
    }
    expect(() => defineSchedule(undefined as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    const letters = { tags: 'nightly' as never }
    for (const wrong of [
      ...[{ id: '' }, { queue: '' }, { priority: 101 }, { concurrencyKey: '' }, { tags: [''] }],
      letters,
    ]) {
      expect(() => defineSchedule({ ...options, ...wrong })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      )
    }
  })
})

test.for(['the same worker', 'a worker that begins then'])(
  'a schedule goes on with %s when the clock of the store, which was a day ahead for a moment, is put right',
  async (who) => {
    let aheadMs = 0
    const scene = sceneOf((clock) => memoryStore({ now: () => clock.now() + aheadMs }))
    const { clock, kernelOf, work, minutes } = scene
    const ofToday = async (): Promise<readonly number[]> => (await minutes()).filter((at) => at < 60)
    const worker = work(kernelOf(), everyMinute())
    await until(() => clock.timers > 1)
    aheadMs = 24 * 60 * MINUTE
    clock.advance(MINUTE)
    await until(async () => (await minutes()).length > 0)
    aheadMs = 0
    if (who !== 'the same worker') {
      await worker.stop()
      work(kernelOf(), everyMinute())
      await until(() => clock.timers > 1)
    }

    for (let n = 1; (await ofToday()).length < 3; n++) {
      expect(n).toBeLessThan(200)
      clock.advance(MINUTE / 4)
      await new Promise(setImmediate)
    }
  },
)
