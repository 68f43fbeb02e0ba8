import { ActionError, defineWorkflow, isArtifactRef, type ActionContext, type ArtifactRef } from '@varve/kernel'
import { contentId, type ContentId, type Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { crashMatrix, type CrashMatrixOptions } from '../crash-matrix.ts'
import { pairsOf, PATIENCE_MS } from './depth.ts'
import { openSqlite, type OpenStore } from './stores.ts'

const PAGES = ['first page', 'second page', 'third page']
const ALL = PAGES.join('')
const INDEX = JSON.stringify([...PAGES].map((text) => text.length))

/** What both runs refer to in the end, what only the first does, in one event each, and what was put to be thrown away. */
const SHARED = [...PAGES, ALL, INDEX].map((text) => contentId(text))
const RECEIPTS = PAGES.map((page) => contentId(`receipt of ${page}`))
const SCRATCH = contentId('scratch')

const ref = z.custom<ArtifactRef>(isArtifactRef)

type Page = { readonly page: ArtifactRef; readonly receipt: ArtifactRef }

/** Puts pages beside each other, one of them as a fact and one only in a second attempt; a child binds them from a stream. */
function binding() {
  const actions = {
    page: {
      retry: { maxAttempts: 50, baseMs: 100, factor: 1, jitter: 'none' as const },
      run: async (n: number, { artifacts, attempt, fact }: ActionContext): Promise<Page> => {
        await artifacts.put('scratch')
        if (n === 2 && attempt % 2 === 1) throw new ActionError('transient', 'not yet')
        const text = PAGES[n] ?? ''
        const page = n === 1 ? await fact('page', () => artifacts.put(text)) : await artifacts.put(Buffer.from(text))
        return { page, receipt: await artifacts.put(`receipt of ${text}`) }
      },
    },
  }
  const bind = {
    run: async (pages: readonly ArtifactRef[], { artifacts }: ActionContext) => {
      const all = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        for (const page of pages) yield* (await artifacts.get(page)).stream()
      }
      return [await artifacts.put(all()), await artifacts.putJson(pages.map(({ size }) => size))]
    },
  }
  const binder = defineWorkflow(
    { name: 'binder', version: '1', input: z.array(ref), actions: { bind } },
    {
      step: ({ input, results }, next) =>
        results['bind']?.status === 'succeeded' ? next.complete(results['bind'].output) : next.run('bind', input),
    },
  )
  const book = defineWorkflow(
    { name: 'book', version: '1', input: z.null(), actions },
    {
      step: ({ results }, next) => {
        const pages = PAGES.map((_, n) => results[`page:${n}`])
        const refs = pages.flatMap((page) => (page?.status === 'succeeded' ? [(page.output as Page).page] : []))
        if (refs.length < PAGES.length) {
          return next.all(PAGES.map((_, n) => next.run('page', n, { key: `page:${n}` })))
        }
        return results['binder'] === undefined ? next.child(binder, refs) : next.complete(results['binder'])
      },
    },
  )
  return { book, binder }
}

/** What the runs of a store refer to, and whether all of it can be read. */
async function referredIn(store: Store): Promise<Readonly<Record<string, readonly ContentId[]>>> {
  const referred: Record<string, ContentId[]> = {}
  for (const id of [...SHARED, ...RECEIPTS, SCRATCH]) {
    for (const { workflow } of (await store.runs.list({ artifact: id }, { limit: 100 })).items) {
      ;(referred[workflow] ??= []).push(id)
    }
  }
  const all = await store.runs.referred([...SHARED, ...RECEIPTS, SCRATCH])
  for (const id of all) expect(contentId(await (await store.artifacts.get(id)).bytes())).toBe(id)
  return { ...referred, all }
}

/** Plays every case, and tells what was referred to at the end of each. */
async function played(open: OpenStore, pairs: NonNullable<CrashMatrixOptions['pairs']>) {
  const ends: object[] = []
  const watched: OpenStore = async (options) => {
    const store = await open(options)
    const dispose = async (): Promise<void> => {
      ends.push(await referredIn(store))
      await store[Symbol.asyncDispose]()
    }
    return { ...store, [Symbol.asyncDispose]: dispose }
  }
  const report = await crashMatrix(
    {
      open: watched,
      workflows: binding,
      begin: ({ kernel, workflows }) => kernel.start(workflows.book, null, { runId: 'book' }),
    },
    { pairs },
  )
  return { ...report, ends }
}

test.for([
  ['in memory', async ({ now }) => Promise.resolve(memoryStore({ now })), { sample: 60 }],
  ['on SQLite', openSqlite, 'none'],
] as const satisfies readonly (readonly [string, OpenStore, unknown])[])(
  'wherever a process dies, its runs refer to the same artifacts in the end, and all of them are there: %s',
  { timeout: PATIENCE_MS },
  async ([, open, pairs]) => {
    const { ends, points, cases, runs } = await played(open, pairsOf(pairs))

    expect(runs.get('book')).toMatchObject({
      outcome: {
        status: 'completed',
        output: { output: [{ $artifact: contentId(ALL) }, { $artifact: contentId(INDEX) }] },
      },
    })
    expect(points.filter((point) => point.startsWith('artifacts.put:')).length).toBeGreaterThanOrEqual(3 * 8)
    expect(ends.length).toBe(cases + 2)
    const all = [...SHARED, ...RECEIPTS]
    for (const end of ends) expect(end).toEqual({ book: all, binder: SHARED, all })
  },
)
