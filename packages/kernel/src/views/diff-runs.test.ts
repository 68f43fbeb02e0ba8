import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { createKernel } from '../kernel/kernel.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { sum } from '../testing/golden.ts'

async function summed() {
  const kernel = createKernel({ store: memoryStore(), workflows: [sum] })
  await kernel.start(sum, [1, 2], { runId: 'r' })
  return kernel
}

describe('the difference of two runs', () => {
  test('is none for a run and itself', async () => {
    const kernel = await summed()

    expect(await kernel.diff('r', 'r')).toEqual({ same: true, sameUntil: 6, keys: [] })
  })

  test('begins with the first event that differs, and names the keys that ended otherwise', async () => {
    const kernel = await summed()
    await kernel.fork('r', { at: 3, as: 'f', edit: { output: 10 } })

    expect(await kernel.diff('r', 'f')).toMatchObject({
      ...{ same: false, sameUntil: 2, keys: ['add:0', 'add:1'] },
      first: {
        a: { seq: 3, type: 'ActionSucceeded', data: { output: 1 } },
        b: { seq: 3, type: 'ActionSucceeded', data: { output: 10 } },
      },
    })
  })

  test('is the rest where one of them is the beginning of the other', async () => {
    const kernel = await summed()
    await kernel.fork('r', { at: 2, as: 'f', wait: false })
    await kernel.fork('f', { at: 3, as: 'g', wait: false })

    const { first, ...diff } = await kernel.diff('f', 'g')

    expect(diff).toEqual({ same: false, sameUntil: 3, keys: [] })
    expect(first).toMatchObject({ b: { seq: 4, type: 'RunForked' } })
    expect(first).not.toHaveProperty('a')
  })

  test('is the same seen from the other side', async () => {
    const kernel = await summed()
    await kernel.fork('r', { at: 3, as: 'f', edit: { output: 10 } })

    const [one, other] = await Promise.all([kernel.diff('r', 'f'), kernel.diff('f', 'r')])

    expect(other).toEqual({ ...one, first: { a: one.first?.b, b: one.first?.a } })
  })

  test('with a run that is not there is refused', async () => {
    const kernel = await summed()

    await expect(kernel.diff('r', 'x')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })
})
