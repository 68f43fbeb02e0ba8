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
  const { asked, read } = pagesOf(1200)
  const askedWhen: Record<number, number[]> = {}
  const seqs: number[] = []

  for await (const { seq } of read('r')) {
    seqs.push(seq)
    if (seq % 500 === 1) askedWhen[seq] = [...asked]
  }

  expect(seqs).toEqual(Array.from({ length: 1200 }, (_, i) => i + 1))
  expect(askedWhen).toEqual({ 1: [1, 501], 501: [1, 501, 1001], 1001: [1, 501, 1001] })
  expect(asked).toEqual([1, 501, 1001])
})

test('nothing is asked for that does not lie in the range', async () => {
  const { asked, read } = pagesOf(1200)

  expect((await Array.fromAsync(read('r', { from: 100, to: 599 }))).length).toBe(500)
  expect((await Array.fromAsync(read('r', { from: 1100, limit: 50 }))).length).toBe(50)
  expect(await Array.fromAsync(read('r', { from: 7, to: 6 }))).toEqual([])

  expect(asked).toEqual([100, 1100])
})

test('a page that fails is told behind the events before it, and to nobody when the reader has stopped', async () => {
  const { read } = pagesOf(1200, 501)
  const unheard: unknown[] = []
  const hear = (reason: unknown): void => void unheard.push(reason)
  process.on('unhandledRejection', hear)
  const seqs: number[] = []

  const reading = (async () => {
    for await (const { seq } of read('r')) seqs.push(seq)
  })()

  await expect(reading).rejects.toThrow('the server is gone')
  expect(seqs).toHaveLength(500)
  for await (const { seq } of read('r')) if (seq === 3) break
  await new Promise(setImmediate)
  process.off('unhandledRejection', hear)
  expect(unheard).toEqual([])
})
