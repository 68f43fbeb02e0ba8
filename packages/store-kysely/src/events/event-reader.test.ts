import type { StoredEvent } from '@varve/store'
import { expect, test } from 'vitest'
import type { SqlExecutor } from '../executor.ts'
import { sqliteDialect } from '../sqlite/sqlite-dialect.ts'
import { eventReader } from './event-reader.ts'

interface Page {
  readonly from: number
  readonly to: number
}

/** Answers a log of that length; pages from `failsAt` on fail. Notes which pages are asked for. */
function pagesOf(length: number, failsAt = Infinity) {
  const asked: number[] = []
  const page = async ({ from, to }: Page): Promise<readonly object[]> => {
    asked.push(from)
    if (from >= failsAt) throw new Error('the server is gone')
    const count = Math.max(0, Math.min(to, length) - from + 1)
    const event = { v: 1, type: 'T', at: 1, body: '{}', hash: '', head: length }
    return Array.from({ length: count }, (_, i) => ({ ...event, seq: from + i }))
  }
  const unused = (): never => {
    throw new Error('not asked for')
  }
  const all = async (_query: unknown, args: unknown): Promise<readonly never[]> =>
    (await page(args as Page)) as readonly never[]
  const executor: SqlExecutor = { get: unused, run: unused, transaction: unused, all }
  return { asked, read: eventReader(executor, sqliteDialect()) }
}

test('the next page is asked for before the first event of a page is given out, and none behind the end', async () => {
  const { asked, read } = pagesOf(2200)
  const askedWhen: Record<number, number[]> = {}
  const seqs: number[] = []

  for await (const { seq } of read('r')) {
    seqs.push(seq)
    if (seq % 1000 === 1) askedWhen[seq] = [...asked]
  }

  expect(seqs).toEqual(Array.from({ length: 2200 }, (_, i) => i + 1))
  expect(askedWhen).toEqual({ 1: [1, 1001], 1001: [1, 1001, 2001], 2001: [1, 1001, 2001] })
  expect(asked).toEqual([1, 1001, 2001])
})

test('nothing is asked for that does not lie in the range', async () => {
  const { asked, read } = pagesOf(2200)

  expect((await Array.fromAsync(read('r', { from: 100, to: 1099 }))).length).toBe(1000)
  expect((await Array.fromAsync(read('r', { from: 2100, limit: 50 }))).length).toBe(50)
  expect(await Array.fromAsync(read('r', { from: 7, to: 6 }))).toEqual([])

  expect(asked).toEqual([100, 2100])
})

test('a page that fails is told behind the events before it, and to nobody when the reader has stopped', async () => {
  const { read } = pagesOf(2200, 1001)
  const unheard: unknown[] = []
  const hear = (reason: unknown): void => void unheard.push(reason)
  process.on('unhandledRejection', hear)
  const seqs: number[] = []

  const reading = (async () => {
    for await (const { seq } of read('r')) seqs.push(seq)
  })()

  await expect(reading).rejects.toThrow('the server is gone')
  expect(seqs).toHaveLength(1000)
  for await (const { seq } of read('r')) if (seq === 3) break
  await new Promise(setImmediate)
  process.off('unhandledRejection', hear)
  expect(unheard).toEqual([])
})

test('whoever asks ahead gets the events in the order of asking, across pages and behind the end', async () => {
  const { asked, read } = pagesOf(1400)
  const inOrder = [...Array.from({ length: 1400 }, (_, i) => i + 1), undefined, undefined, undefined]
  /** Asks for so many at once, then again and again in microtasks of their own, about when a page comes. */
  const seqsOf = async (atOnce: number): Promise<readonly (number | undefined)[]> => {
    const events = read('r')[Symbol.asyncIterator]()
    const answers: Promise<IteratorResult<StoredEvent, undefined>>[] = []
    while (answers.length < 1403) {
      answers.push(events.next() as Promise<IteratorResult<StoredEvent, undefined>>)
      if (answers.length >= atOnce) await Promise.resolve()
    }
    return (await Promise.all(answers)).map(({ value, done }) => (done === true ? undefined : value.seq))
  }

  for (const atOnce of [1403, 3, 1, 999]) expect(await seqsOf(atOnce)).toEqual(inOrder)
  expect(asked).toEqual([1, 1001, 1, 1001, 1, 1001, 1, 1001])
})

test('of those who wait for a page that fails one is told, and the others that the log has ended', async () => {
  const { read } = pagesOf(2200, 1)
  const events = read('r')[Symbol.asyncIterator]()

  const answers = await Promise.allSettled([events.next(), events.next(), events.next()])

  const end = { status: 'fulfilled', value: { value: undefined, done: true } }
  expect(answers).toEqual([{ status: 'rejected', reason: new Error('the server is gone') }, end, end])
})

test('a reader that was stopped, or has failed, has ended', async () => {
  const { asked, read } = pagesOf(2200, 1001)
  const stopped = read('r')[Symbol.asyncIterator]()
  const failed = read('r')[Symbol.asyncIterator]()
  const unbegun = read('r')[Symbol.asyncIterator]()

  await stopped.next()
  for (let n = 0; n < 1000; n++) await failed.next()
  await expect(failed.next()).rejects.toThrow('the server is gone')
  const before = [...asked]

  expect(await stopped.return?.()).toEqual({ value: undefined, done: true })
  expect(await unbegun.return?.()).toEqual({ value: undefined, done: true })
  for (const each of [stopped, failed, unbegun]) expect(await each.next()).toEqual({ value: undefined, done: true })
  expect(asked).toEqual(before)
})

test('a reader that is stopped while its page is on the way has ended all the same', async () => {
  const { asked, read } = pagesOf(3)
  const events = read('r')[Symbol.asyncIterator]()

  const first = events.next()
  while (asked.length === 0) await Promise.resolve()
  await Promise.all([first, events.return?.()])

  expect(await events.next()).toEqual({ value: undefined, done: true })
})
