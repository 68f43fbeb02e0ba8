import { expect, test } from 'vitest'
import { allItems, allPages } from './all-pages.ts'
import type { Page, PageRequest } from './store.ts'

const lists: Record<string, readonly number[]> = { a: [1, 2], b: [], c: [3] }
const following: Record<string, string> = { a: 'b', b: 'c' }

function listing(asked: PageRequest[]): (page: PageRequest) => Promise<Page<number>> {
  return (request) => {
    asked.push(request)
    const { cursor = 'a' } = request
    const next = following[cursor]
    return Promise.resolve({ items: lists[cursor] ?? [], ...(next !== undefined && { next }) })
  }
}

test('every item of a list comes, in order, past a page without items', async () => {
  const asked: PageRequest[] = []
  expect(await Array.fromAsync(allItems(listing(asked), 2))).toEqual([1, 2, 3])
  expect(asked).toEqual([{ limit: 2 }, { limit: 2, cursor: 'b' }, { limit: 2, cursor: 'c' }])
})

test('pages come as they were listed, of 200 items if nothing else is asked', async () => {
  const asked: PageRequest[] = []
  expect(await Array.fromAsync(allPages(listing(asked)))).toEqual([[1, 2], [], [3]])
  expect(asked[0]).toEqual({ limit: 200 })
})

test('whoever stops early asks for no page more', async () => {
  const asked: PageRequest[] = []
  for await (const item of allItems(listing(asked))) if (item === 2) break
  expect(asked).toHaveLength(1)
})

test('what the list throws comes through', async () => {
  const failing = allItems(() => Promise.reject(new Error('gone')))
  await expect(failing.next()).rejects.toThrow('gone')
})
