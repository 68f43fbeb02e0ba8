import { contentId, type ArtifactStore, type ContentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { expect, test } from 'vitest'
import { TouchBatch } from './touch-batch.ts'

/** The artifacts of a store, which tell how many are touched in each call. */
function told(calls: number[]): ArtifactStore {
  const { artifacts } = memoryStore()
  return {
    ...artifacts,
    put: artifacts.put.bind(artifacts),
    touch: async (ids, options) => {
      calls.push(ids.length)
      expect(options).toEqual({ durable: false })
      return artifacts.touch(ids)
    },
  }
}

async function kept(artifacts: ArtifactStore, count: number): Promise<ContentId[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => artifacts.put(new Uint8Array([n, n >> 8]))))
}

test('what is touched in one turn of the event loop goes into one call, also on a store that answers at once', async () => {
  const calls: number[] = []
  const artifacts = told(calls)
  const ids = await kept(artifacts, 20)
  const touches = new TouchBatch(artifacts)

  const all = ids.map(async (id, n) => {
    for (let ticks = 0; ticks < n; ticks++) await Promise.resolve()
    return touches.touch(id)
  })

  expect(await Promise.all(all)).toEqual(new Array(20).fill(true))
  expect(calls).toEqual([20])
})

test('what is asked for later goes into the next call, and each is told whether its own is there', async () => {
  const calls: number[] = []
  const artifacts = told(calls)
  const [id] = await kept(artifacts, 1)
  const touches = new TouchBatch(artifacts)

  expect(await touches.touch(id as ContentId)).toBe(true)
  expect(await touches.touch(contentId('nobody put this'))).toBe(false)
  expect(calls).toEqual([1, 1])
})

test('a call that fails is told to whom it was made for, and to nobody behind', async () => {
  const { artifacts } = memoryStore()
  const ids = await kept(artifacts, 2)
  let fails = true
  const touches = new TouchBatch({
    ...artifacts,
    touch: async (given) => {
      if (!fails) return artifacts.touch(given)
      fails = false
      throw new Error('the store is away')
    },
  })

  await expect(touches.touch(ids[0] as ContentId)).rejects.toThrow('the store is away')
  expect(await touches.touch(ids[1] as ContentId)).toBe(true)
})

test('more than one call may carry go into several', async () => {
  const calls: number[] = []
  const artifacts = told(calls)
  const ids = await kept(artifacts, 1001)
  const touches = new TouchBatch(artifacts)

  await Promise.all(ids.map(async (id) => touches.touch(id)))

  expect(calls).toEqual([1000, 1])
})
