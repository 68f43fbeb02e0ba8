import { expect, test } from 'vitest'
import { WriteLine, type WaitingWrite } from './write-line.ts'

const room = { writes: 256, length: 1024 }

/** A write that counts how often it is looked at. */
class WatchedWrite implements WaitingWrite {
  static looks = 0
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  get key(): string {
    WatchedWrite.looks++
    return this.#key
  }

  get length(): number {
    WatchedWrite.looks++
    return 1
  }
}

/** Takes batch after batch until nothing is left. */
function emptied(line: WriteLine<WaitingWrite>): number {
  let taken = 0
  for (;;) {
    const batch = line.take(room)
    if (batch.length === 0) return taken
    taken += batch.length
    for (const { key } of batch) line.release(key)
  }
}

test.for([
  ['of as many runs', 50_000],
  ['of two hundred runs', 200],
  ['of one run', 1],
] as const)('each of 50,000 waiting writes is looked at a few times: %s', ([, runs]) => {
  const line = new WriteLine<WaitingWrite>()
  WatchedWrite.looks = 0

  for (let n = 0; n < 50_000; n++) line.add(new WatchedWrite(`run ${n % runs}`))

  expect(emptied(line)).toBe(50_000)
  expect(WatchedWrite.looks).toBeLessThan(6 * 50_000)
})

test('what stands aside lines up behind those that are ready, each key in its order', () => {
  const line = new WriteLine<WaitingWrite & { readonly n: number }>()
  for (const [n, key] of ['a', 'a', 'b', 'a', 'c'].entries()) line.add({ key, length: 1, n })
  const order: number[] = []

  for (let batch = line.take({ writes: 1, length: 9 }); batch.length > 0; batch = line.take({ writes: 1, length: 9 })) {
    order.push(...batch.map(({ n }) => n))
    for (const { key } of batch) line.release(key)
  }

  expect(order).toEqual([0, 2, 4, 1, 3])
})

test('a write that is too long for the rest of a batch is the first of the next', () => {
  const line = new WriteLine<WaitingWrite>()
  for (const [n, length] of [3, 2, 1].entries()) line.add({ key: `${n}`, length })

  const lengths = [line.take({ writes: 9, length: 4 }), line.take({ writes: 9, length: 4 })].map((batch) =>
    batch.map(({ length }) => length),
  )

  expect(lengths).toEqual([[3], [2, 1]])
})
