import { StoreError, type Snapshot, type StoreErrorCode } from '@varve/store'
import { AsyncLocalStorage } from 'node:async_hooks'
import { nextTick } from 'node:process'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { AppendArgs, AppendedRecord } from '../events/append-queries.ts'
import type { Addition, SqlWrites } from '../writes.ts'
import { groupCommit } from './group-commit.ts'
import type { SharedAnswer, SharedWrite } from './shared-write.ts'

/** One commit that was asked for: the writes it is of, and how it ends. */
interface Commit {
  readonly runIds: readonly string[]
  readonly shared: boolean
  readonly answer: (special?: Readonly<Record<string, SharedAnswer>>) => void
  readonly fail: (error: unknown) => void
}

/** A database that commits when the test says so. */
function scripted(lanes = 1, patienceMs?: number) {
  const commits: Commit[] = []
  const commit = async (batch: readonly SharedWrite[], shared: boolean): Promise<readonly SharedAnswer[]> =>
    new Promise((resolve, reject) => {
      commits.push({
        runIds: batch.map(runOf),
        shared,
        answer: (special = {}) =>
          resolve(batch.map((write) => (runOf(write) in special ? special[runOf(write)] : answerOf(write)))),
        fail: reject,
      })
    })
  const alone = async (write: SharedWrite) => (await commit([write], false))[0]
  const writes: Partial<SqlWrites> = {
    append: async (addition) => (await alone({ kind: 'append', addition })) as AppendedRecord | undefined,
    saveSnapshot: async (snapshot) => (await alone({ kind: 'snapshot', snapshot })) as boolean,
    shared: {
      lanes,
      ...(patienceMs !== undefined && { patienceMs }),
      accepts: (write) => write.kind !== 'append' || write.addition.posts.length === 0,
      commit: async (batch) => commit(batch, true),
    },
  }
  return { commits, grouped: groupCommit(writes as SqlWrites) }
}

/** A database that has committed when it is asked to. */
function atOnce(lanes: number, committing: () => void = () => undefined) {
  const writes: Partial<SqlWrites> = {
    shared: {
      lanes,
      accepts: () => true,
      commit: async (batch) => {
        committing()
        return batch.map(answerOf)
      },
    },
  }
  return { grouped: groupCommit(writes as SqlWrites) }
}

function runOf(write: SharedWrite): string {
  if (write.kind === 'snapshot') return write.snapshot.runId
  if (write.kind === 'prune') return write.pruning.runId
  return write.kind === 'append' ? write.addition.run.runId : ''
}

function answerOf(write: SharedWrite): SharedAnswer {
  if (write.kind === 'prune') return 1
  return write.kind === 'snapshot' || { waiting: 0 }
}

function addition(runId: string, body = '{}'): Addition {
  const event = { runId, seq: 1, v: 1, type: 'T', at: 0, body, hash: '' }
  return { run: { runId } as AppendArgs, shape: {} as Addition['shape'], events: [event], posts: [], artifacts: [] }
}

function snapshot(runId: string): Snapshot {
  return { runId, seq: 1, hash: '', format: 1, workflowVersion: '1', build: 'b', body: '{}' }
}

async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

/** Lets whoever has an answer go on, without a turn of the event loop. */
async function ticked(): Promise<void> {
  await new Promise(nextTick)
}

/** Lets the event loop turn, which is what a batch gathers for: once for what is under way to end, once for the next to begin. */
async function turn(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    await microtasks()
  }
}

const code = async (call: Promise<unknown>): Promise<StoreErrorCode | 'done'> =>
  call.then(
    () => 'done' as const,
    (error: unknown) => (error as StoreError).code,
  )

const named = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `run-${n}`)

describe('writes of different runs', () => {
  test('that are asked for together share a commit, and each has its own answer', async () => {
    const { commits, grouped } = scripted()

    const appended = ['a', 'b', 'c'].map(async (runId) => grouped.append(addition(runId)))
    const saved = grouped.saveSnapshot(snapshot('a'))
    await turn()
    commits[0]?.answer({ b: undefined })

    expect(await Promise.all(appended)).toEqual([{ waiting: 0 }, undefined, { waiting: 0 }])
    expect(await saved).toBe(true)
    expect(commits.map(({ runIds }) => runIds)).toEqual([['a', 'b', 'c', 'a']])
  })

  test('that come while a commit is under way go together into the next', async () => {
    const { commits, grouped } = scripted()
    const first = grouped.append(addition('a'))
    await microtasks()

    const later = ['b', 'c', 'd'].map(async (runId) => grouped.append(addition(runId)))
    await turn()
    expect(commits).toHaveLength(1)
    commits[0]?.answer()
    await first
    await turn()
    commits[1]?.answer()
    await Promise.all(later)

    expect(commits.map(({ runIds }) => runIds)).toEqual([['a'], ['b', 'c', 'd']])
  })

  test('use as many lanes as there are, and never for one run at once', async () => {
    const { commits, grouped } = scripted(2)

    const writes = ['a', 'a', 'b', 'a'].map(async (runId) => grouped.append(addition(runId)))
    await turn()
    expect(commits.map(({ runIds }) => runIds)).toEqual([['a', 'b']])
    for (let i = 0; i < 3; i++) {
      commits[i]?.answer()
      await turn()
    }

    await Promise.all(writes)
    expect(commits.map(({ runIds }) => runIds)).toEqual([['a', 'b'], ['a'], ['a']])
  })

  test('of many runs leave by halves where there are two lanes, the first before all have heard', async () => {
    const { commits, grouped } = scripted(2)
    let heard = 0
    const runs = named(64).map(async (runId) => {
      await grouped.append(addition(runId))
      heard += 1
      await grouped.append(addition(runId))
    })
    await turn()
    const turned = vi.fn()
    setImmediate(turned)

    commits[0]?.answer()
    for (let n = 0; n < 100 && commits.length < 2; n++) await ticked()
    const heardBefore = heard
    for (let n = 0; n < 100; n++) await ticked()

    expect(turned).not.toHaveBeenCalled()
    expect(heardBefore).toBeGreaterThanOrEqual(32)
    expect(heardBefore).toBeLessThan(64)
    expect(commits.map(({ runIds }) => runIds.length)).toEqual([64, 32, 32])
    for (const { answer } of commits) answer()
    await Promise.all(runs)
  })

  test('that fewer than 64 runs ask for after a commit wait for a turn of the event loop, for others to join them', async () => {
    const { commits, grouped } = scripted(2)
    const runs = named(63).map(async (runId) => {
      await grouped.append(addition(runId))
      await grouped.append(addition(runId))
    })
    await turn()

    commits[0]?.answer()
    for (let n = 0; n < 20; n++) await ticked()
    expect(commits).toHaveLength(1)
    const joining = grouped.append(addition('x'))
    await turn()

    expect(commits.map(({ runIds }) => runIds.length)).toEqual([63, 64])
    commits[1]?.answer()
    await Promise.all([...runs, joining])
  })

  test('leave in no context of a run, which may have ended since', async () => {
    const contexts = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    const { grouped } = atOnce(2, () => seen.push(contexts.getStore()))

    await Promise.all(
      named(64).map(async (runId) =>
        contexts.run(runId, async () => {
          for (let n = 0; n < 5; n++) await grouped.append(addition(runId))
        }),
      ),
    )

    expect(seen.length).toBeGreaterThan(5)
    expect(seen.filter((context) => context !== undefined)).toEqual([])
  })

  test('keep no timer from coming, also where commits answer at once', async () => {
    const { grouped } = atOnce(2)
    let hasCome = false
    setTimeout(() => (hasCome = true), 0)

    const written = await Promise.all(
      named(64).map(async (runId) => {
        let writes = 0
        for (; !hasCome && writes < 1000; writes++) await grouped.append(addition(runId))
        return writes
      }),
    )

    expect(Math.max(...written)).toBeLessThan(1000)
  })

  test('are at most 256 in one commit', async () => {
    const { commits, grouped } = scripted()

    const writes = named(300).map(async (runId) => grouped.append(addition(runId)))
    await turn()
    commits[0]?.answer()
    await turn()
    commits[1]?.answer()
    await Promise.all(writes)

    expect(commits.map(({ runIds }) => runIds.length)).toEqual([256, 44])
  })

  test('are at most 4 MiB in one commit, and one that is longer is made beside them', async () => {
    const { commits, grouped } = scripted()
    const MiB = 1024 * 1024

    const writes = [2.5, 1, 1, 5].map(async (size, n) => grouped.append(addition(`run-${n}`, 'x'.repeat(size * MiB))))
    await turn()
    expect(commits.map(({ runIds, shared }) => [runIds, shared])).toEqual([
      [['run-3'], false],
      [['run-0', 'run-1'], true],
    ])
    for (let i = 0; i < 3; i++) {
      commits[i]?.answer()
      await turn()
    }

    await Promise.all(writes)
    expect(commits[2]?.runIds).toEqual(['run-2'])
  })

  test('keep the order of each run where a longer one has to wait for the next batch', async () => {
    const { commits, grouped } = scripted()
    const MiB = 1024 * 1024
    const sizes = [
      ['a', 2.5],
      ['b', 2],
      ['b', 0],
      ['c', 0],
    ] as const

    const writes = sizes.map(async ([runId, size]) => grouped.append(addition(runId, 'x'.repeat(size * MiB))))
    for (let i = 0; i < 3; i++) {
      await turn()
      commits[i]?.answer()
    }
    await Promise.all(writes)

    expect(commits.map(({ runIds }) => runIds)).toEqual([['a'], ['b', 'c'], ['b']])
  })

  test('that no batch takes are made beside it', async () => {
    const { commits, grouped } = scripted()

    const settling = grouped.append({ ...addition('a'), posts: [{ id: 'p', error: null }] })
    const others = ['b', 'c'].map(async (runId) => grouped.append(addition(runId)))
    await turn()
    for (const commit of commits) commit.answer()
    await Promise.all([settling, ...others])

    expect(commits.map(({ runIds }) => runIds)).toEqual([['a'], ['b', 'c']])
  })
})

describe('a run that writes alone', () => {
  test('waits for no turn of the event loop', async () => {
    const { commits, grouped } = scripted()

    for (let n = 0; n < 3; n++) {
      const write = grouped.append(addition('a'))
      await microtasks()
      expect(commits).toHaveLength(n + 1)
      commits[n]?.answer()
      await write
    }

    expect(commits.every(({ shared }) => !shared)).toBe(true)
  })

  test('has its snapshots pruned in the commit of what it writes next in the same turn', async () => {
    const { commits, grouped } = scripted()
    const first = grouped.append(addition('a'))
    await microtasks()
    commits[0]?.answer()
    await first

    const pruned = grouped.pruneSnapshots({ runId: 'a', keep: 2 })
    await microtasks()
    const next = grouped.append(addition('a'))
    await turn()
    commits[1]?.answer()

    expect([await pruned, await next]).toEqual([1, { waiting: 0 }])
    expect(commits.map(({ runIds }) => runIds)).toEqual([['a'], ['a', 'a']])
  })

  test('has its snapshot in the commit of what it writes next in the same turn', async () => {
    const { commits, grouped } = scripted()
    const first = grouped.append(addition('a'))
    await microtasks()
    commits[0]?.answer()
    await first

    const saved = grouped.saveSnapshot(snapshot('a'))
    await microtasks()
    const next = grouped.append(addition('a'))
    await turn()
    commits[1]?.answer()

    expect([await saved, await next]).toEqual([true, { waiting: 0 }])
    expect(commits.map(({ runIds }) => runIds)).toEqual([['a'], ['a', 'a']])
  })

  test('goes on at once after a failure, and makes its own next write and others wait for the one under way', async () => {
    const { commits, grouped } = scripted()
    const write = async (runId: string) => code(grouped.append(addition(runId)))
    const first = write('a')
    await turn()
    commits[0]?.answer()
    await first

    const failed = write('a')
    const behind = [write('a'), write('b')]
    await turn()
    expect(commits).toHaveLength(2)
    commits[1]?.fail(new StoreError('UNKNOWN_OUTCOME', 'the connection broke'))
    expect(await failed).toBe('UNKNOWN_OUTCOME')
    await turn()
    commits[2]?.answer()

    expect(await Promise.all(behind)).toEqual(['done', 'done'])
    expect(commits.map(({ runIds }) => runIds.toSorted())).toEqual([['a'], ['a'], ['a', 'b']])
  })
})

describe('a commit that fails', () => {
  test.for<StoreErrorCode>(['UNKNOWN_OUTCOME', 'STORE_UNREACHABLE', 'STORE_BUSY', 'STORE_CLOSED'])(
    'with %s fails all of its writes, and none is made again',
    async (failure) => {
      const { commits, grouped } = scripted()

      const codes = ['a', 'b'].map(async (runId) => code(grouped.append(addition(runId))))
      await turn()
      commits[0]?.fail(new StoreError(failure, 'the connection broke'))

      expect(await Promise.all(codes)).toEqual([failure, failure])
      expect(commits).toHaveLength(1)
    },
  )

  test('for another reason is made again one by one, and only whose fault it was fails', async () => {
    const { commits, grouped } = scripted()

    const codes = ['a', 'b', 'c'].map(async (runId) => code(grouped.append(addition(runId))))
    await turn()
    commits[0]?.fail(new StoreError('STORE_FAILED', 'a text is invalid'))
    for (let n = 1; n <= 3; n++) {
      await turn()
      if (n === 2) commits[n]?.fail(new StoreError('STORE_FAILED', 'a text is invalid'))
      else commits[n]?.answer()
    }

    expect(await Promise.all(codes)).toEqual(['done', 'STORE_FAILED', 'done'])
    expect(commits.map(({ runIds }) => runIds)).toEqual([['a', 'b', 'c'], ['a'], ['b'], ['c']])
  })

  test('leaves the way free for the next', async () => {
    const { commits, grouped } = scripted()
    const failed = ['a', 'b'].map(async (runId) => code(grouped.append(addition(runId))))
    await turn()
    commits[0]?.fail(new StoreError('UNKNOWN_OUTCOME', 'the connection broke'))
    await Promise.all(failed)

    const again = grouped.append(addition('a'))
    await turn()
    commits[1]?.answer()

    expect(await again).toEqual({ waiting: 0 })
  })
})

describe('a write that was passed over because its run is locked', () => {
  test('is sent again alone and holds nobody up', async () => {
    const { commits, grouped } = scripted()
    const locked = grouped.append(addition('a'))
    const other = grouped.append(addition('b'))
    await turn()
    commits[0]?.answer({ a: 'locked' })
    await other

    const later = ['c', 'd'].map(async (runId) => grouped.append(addition(runId)))
    await turn()
    expect(commits.map(({ runIds, shared }) => [runIds, shared])).toEqual([
      [['a', 'b'], true],
      [['a'], false],
      [['c', 'd'], true],
    ])
    commits[2]?.answer()
    await Promise.all(later)
    commits[1]?.answer()

    expect(await locked).toEqual({ waiting: 0 })
  })

  test('keeps the next write of its run waiting until it is made', async () => {
    const { commits, grouped } = scripted()
    const [first, second] = [grouped.append(addition('a')), grouped.append(addition('a'))]
    const other = grouped.append(addition('b'))
    await turn()
    commits[0]?.answer({ a: 'locked' })
    await other
    await turn()
    expect(commits).toHaveLength(2)

    commits[1]?.answer()
    await first
    await turn()
    commits[2]?.answer()
    await second

    expect(commits.map(({ runIds }) => runIds)).toEqual([['a', 'b'], ['a'], ['a']])
  })
})

describe('a write that is made alone and waits for a row that somebody else has locked', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  /** Time that stands still but for `pass`; the event loop turns as ever. */
  function standStill(): (ms: number) => Promise<void> {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    return async (ms) => {
      vi.advanceTimersByTime(ms)
      await turn()
    }
  }

  test.for([1, 2])('lets others pass after a while, also where it has the last of %i lanes', async (lanes) => {
    const pass = standStill()
    const { commits, grouped } = scripted(lanes, 50)
    const locked: Promise<unknown>[] = []
    for (const runId of named(lanes)) {
      locked.push(grouped.append(addition(runId)))
      await turn()
    }
    expect(commits.map(({ runIds }) => runIds)).toEqual(named(lanes).map((runId) => [runId]))
    const others = ['x', 'y'].map(async (runId) => grouped.append(addition(runId)))

    await pass(49)
    expect(commits).toHaveLength(lanes)
    await pass(1)
    expect(commits.at(-1)).toMatchObject({ runIds: ['x', 'y'], shared: true })
    commits.at(-1)?.answer()
    await Promise.all(others)

    for (const { answer } of commits) answer()
    expect(await Promise.all(locked)).toEqual(locked.map(() => ({ waiting: 0 })))
    const after = grouped.append(addition('run-0'))
    await turn()
    commits.at(-1)?.answer()
    expect(await after).toEqual({ waiting: 0 })
  })

  test('lets those pass that were refused together with it', async () => {
    const pass = standStill()
    const { commits, grouped } = scripted(1, 50)
    const all = ['bad', 'locked', 'good'].map(async (runId) => code(grouped.append(addition(runId))))
    await turn()
    commits[0]?.fail(new StoreError('STORE_FAILED', 'one of them cannot be stored'))
    await turn()
    commits[1]?.fail(new StoreError('STORE_FAILED', 'it is this one'))
    await turn()
    expect(commits.map(({ runIds }) => runIds)).toEqual([['bad', 'locked', 'good'], ['bad'], ['locked']])

    await pass(50)
    commits[3]?.answer()

    expect(await all[2]).toBe('done')
    commits[2]?.answer()
    expect(await Promise.all(all)).toEqual(['STORE_FAILED', 'done', 'done'])
  })

  test('lets nobody pass where what it waits for holds up everybody', async () => {
    const pass = standStill()
    const { commits, grouped } = scripted(1)
    const first = grouped.append(addition('a'))
    await turn()
    const others = ['x', 'y'].map(async (runId) => grouped.append(addition(runId)))

    await pass(60_000)

    expect(commits).toHaveLength(1)
    commits[0]?.answer()
    await first
    await turn()
    commits[1]?.answer()
    await Promise.all(others)
  })
})
