import { spawnSync } from 'node:child_process'
import { processOwner } from '@varve/kernel'
import { describe, expect, inject, test } from 'vitest'
import { createPostgresLedger } from './testing/place.ts'
import { eventually, openScene } from './testing/scene.ts'
import type { WorkerTask } from './testing/worker-process.ts'

/** A process in a namespace of its own for process ids, in which it has the id 1. */
interface Apart {
  readonly task: Partial<WorkerTask>
  readonly before: readonly string[]
}

const UNSHARE = ['unshare', '--kill-child', '--pid', '--fork', '--mount-proc']

/** As root, or as a user who may map himself to root; where the system permits neither, with owners made up alike. */
function apart(): Apart {
  const commands = [UNSHARE, [...UNSHARE, '--user', '--map-root-user']]
  const before = commands.find(([command = '', ...args]) => spawnSync(command, [...args, 'true']).status === 0)
  if (before !== undefined) return { task: {}, before }
  made += 1
  return { task: { pidNamespace: `pid:[made up ${made}]` }, before: [] }
}
let made = 0

const LEASE_MS = 1000

describe('processes on one file', { timeout: 60_000 }, () => {
  test('in other namespaces for process ids have the same id, and leave each other their leases', async () => {
    const { kernel, enqueue, launch, rowOf } = await openScene('twoSteps')
    await enqueue('r')
    const [one, two] = [apart(), apart()]
    const holder = await launch({ ...one.task, holds: true }, one.before)
    await holder.said('held')
    const other = await launch({ ...two.task, works: false }, two.before)
    const { lease, token } = await kernel.get('r')

    other.tell('recover')

    expect(await other.said('recovered')).toEqual([])
    expect(lease?.owner).toMatchObject({ pid: 1, boot: processOwner().boot })
    expect((await kernel.get('r')).token).toBe(token)
    holder.tell('open')
    await rowOf('r', ({ status }) => status === 'completed')
    expect((await kernel.get('r')).token).toBe(token)
  })

  test('in one namespace know a dead one at once, and do not wait for the end of its lease', async () => {
    const { enqueue, launch, rowOf } = await openScene('twoSteps')
    await enqueue('r')
    const dying = await launch({ holds: true })
    await dying.said('held')
    const other = await launch({ works: false })
    other.tell('recover')
    const whileAlive = await other.said('recovered')
    dying.kill('SIGKILL')
    await dying.ended

    other.tell('recover')

    expect(await other.said('recovered')).toEqual(['r'])
    expect(whileAlive).toEqual([])
    expect(await rowOf('r', ({ status }) => status === 'completed')).toMatchObject({ token: 2 })
  })
})

test.each([
  ['behind', -60_000, 60_000],
  ['ahead', 60_000, -60_000],
])(
  'a worker whose clock is %s keeps its lease as long as it lives, and not longer',
  { timeout: 60_000 },
  async (name, ownMs, othersMs) => {
    const place = { kind: 'postgres', url: inject('pgUrl'), schema: `skew_${name}_${process.pid}` } as const
    await createPostgresLedger(place)
    const { kernel, enqueue, ledger, launch, rowOf } = await openScene('twoSteps', place)
    await enqueue('held')
    const holder = await launch({ leaseMs: LEASE_MS, holds: true, concurrency: 1, clockAheadMs: ownMs })
    await holder.said('held')
    const other = await launch({ leaseMs: LEASE_MS, clockAheadMs: othersMs })
    const { lease: first, token } = await kernel.get('held')
    // The other one claims all that is due, again and again, while the lease is renewed some times.
    const renewed = await rowOf('held', ({ lease }) => (lease?.until ?? 0) > (first?.until ?? 0) + 2 * LEASE_MS)
    await enqueue('free')
    await rowOf('free', ({ status }) => status === 'completed')

    // It takes nothing until we have seen the lease that it has to wait for.
    other.kill('SIGSTOP')
    holder.kill('SIGKILL')
    await holder.ended
    const { lease: last } = await kernel.get('held')
    other.kill('SIGCONT')
    await rowOf('held', ({ status }) => status === 'completed')

    const [taken] = (
      await eventually(
        () => ledger.read(),
        ({ length }) => length === 4,
      )
    ).filter(({ runId }) => runId === 'held')
    expect(renewed.token).toBe(token)
    expect(taken?.token).toBeGreaterThan(token)
    expect(taken?.attempt).toBe(2)
    expect(taken?.at).toBeGreaterThanOrEqual(last?.until ?? Infinity)
    expect(taken?.at).toBeLessThan((last?.until ?? 0) + 10_000)
  },
)
