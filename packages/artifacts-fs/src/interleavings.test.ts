import { contentId, type ArtifactStore } from '@varve/store'
import fc from 'fast-check'
import { rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { artifactsOn, fileArtifacts } from './file-artifacts.ts'
import { bytesOf, temporaryFolder } from './testing/folder-harness.ts'
import { watchedDisk } from './testing/watched-disk.ts'
import { wholeArtifacts } from './testing/whole.ts'

const bytes = Buffer.from('what they fight about')
const id = contentId(bytes)

/** A call of a process whose clock stands at `at`; a deletion is of what was not used since then. */
interface Action {
  readonly verb: 'put' | 'touch' | 'delete' | 'has'
  readonly at: number
}

const actions = fc.array(
  fc.record({ verb: fc.constantFrom('put', 'touch', 'delete', 'has'), at: fc.integer({ min: 1, max: 5 }) }),
  { minLength: 2, maxLength: 4 },
)

async function act(artifacts: ArtifactStore, { verb, at }: Action): Promise<boolean> {
  switch (verb) {
    case 'put':
      return (await artifacts.put(bytes)) === id
    case 'touch':
      return (await artifacts.touch([id])).length === 1
    case 'delete':
      return artifacts.delete(id, { ifUnusedSince: at })
    case 'has':
      return artifacts.has(id)
  }
}

/** What one call after the other would answer, beginning with an artifact last used then. */
function inOrder(usedAt: number | undefined, ordered: readonly Action[]) {
  const answers = new Map<Action, boolean>()
  for (const action of ordered) {
    const { verb, at } = action
    const isThere: boolean = usedAt !== undefined
    if (verb === 'delete') {
      answers.set(action, (usedAt ?? Infinity) < at)
      if ((usedAt ?? Infinity) < at) usedAt = undefined
    } else {
      answers.set(action, isThere || verb === 'put')
      if (verb === 'put' || (verb === 'touch' && isThere)) usedAt = Math.max(usedAt ?? at, at)
    }
  }
  return { answers, usedAt }
}

function ordersOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length < 2) return [items]
  return items.flatMap((first, i) => ordersOf(items.toSpliced(i, 1)).map((rest) => [first, ...rest]))
}

/** Lets actors go on one at a time, from one call of the file system to the next, whichever is chosen. */
async function takeTurns<T>(
  actors: readonly ((stop: () => Promise<void>) => Promise<T>)[],
  choose: (count: number) => number,
): Promise<readonly T[]> {
  const waiting = new Set<() => void>()
  let moved = Promise.withResolvers<undefined>()
  const stop = async () => {
    const turn = Promise.withResolvers<undefined>()
    waiting.add(() => turn.resolve(undefined))
    moved.resolve(undefined)
    await turn.promise
  }
  const ends: Promise<T>[] = []
  for (const actor of actors) {
    moved = Promise.withResolvers()
    ends.push(actor(stop).finally(() => moved.resolve(undefined)))
    await moved.promise
  }
  while (waiting.size > 0) {
    const next = [...waiting][choose(waiting.size)]!
    waiting.delete(next)
    moved = Promise.withResolvers()
    next()
    await moved.promise
  }
  return Promise.all(ends)
}

const choices = fc.array(fc.nat(11), { minLength: 20, maxLength: 60 })

/** Calls of one process each, which take turns as they are chosen. */
async function meet(folder: string, called: readonly Action[], chosen: readonly number[]): Promise<readonly boolean[]> {
  let turn = 0
  return takeTurns(
    called.map((action) => async (stop: () => Promise<void>) => {
      const disk = watchedDisk(async (boundary) => (boundary.startsWith('before') ? stop() : undefined))
      return act(artifactsOn(disk, { folder, now: () => action.at }), action)
    }),
    (count) => (chosen[turn++ % chosen.length] ?? 0) % count,
  )
}

test(
  'processes that meet at one artifact are told what some order of their calls would tell them',
  { timeout: 120_000 },
  async () => {
    const property = async (usedAt: number | undefined, called: readonly Action[], chosen: readonly number[]) => {
      const folder = await temporaryFolder()
      try {
        if (usedAt !== undefined) await fileArtifacts({ folder, now: () => usedAt }).put(bytes)
        const answers = await meet(folder, called, chosen)

        const artifacts = fileArtifacts({ folder })
        await wholeArtifacts(artifacts)
        const { items } = await artifacts.list({}, { limit: 10 })
        const orders = ordersOf(called).map((ordered) => inOrder(usedAt, ordered))
        const agreeing = orders.filter(
          (order) =>
            order.usedAt === items[0]?.usedAt && called.every((action, i) => order.answers.get(action) === answers[i]),
        )
        expect(agreeing.length, JSON.stringify({ answers, end: items[0]?.usedAt })).toBeGreaterThan(0)
      } finally {
        await rm(folder, { recursive: true })
      }
    }
    const start = fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined })

    await fc.assert(fc.asyncProperty(start, actions, choices, property), { numRuns: 400 })
  },
)

test(
  'processes that meet at a damaged artifact leave it whole when one of them has put it',
  { timeout: 120_000 },
  async () => {
    const property = async (usedAt: number, called: readonly Action[], chosen: readonly number[]) => {
      const folder = await temporaryFolder()
      try {
        await fileArtifacts({ folder, now: () => usedAt }).put(bytes)
        await writeFile(await bytesOf(folder, id), 'what a disk has made of it')

        const answers = await meet(folder, called, chosen)

        const artifacts = fileArtifacts({ folder })
        const { items } = await artifacts.list({}, { limit: 10 })
        const isPut = called.some(({ verb }) => verb === 'put')
        const isDeleted = called.some(({ verb }, i) => verb === 'delete' && answers[i])
        if (isPut) await wholeArtifacts(artifacts)
        if (!isDeleted) expect(items).toHaveLength(1)
        if (!isDeleted) expect(items[0]?.usedAt).toBeGreaterThanOrEqual(usedAt)
        for (const [i, { verb }] of called.entries()) if (verb === 'put') expect(answers[i]).toBe(true)
      } finally {
        await rm(folder, { recursive: true })
      }
    }

    await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: 3 }), actions, choices, property), { numRuns: 200 })
  },
)
