import { expect, test } from 'vitest'
import { artifacts } from './artifacts.ts'

test('streaming an artifact in and out holds no more of it than fits into a quarter of its bytes', async () => {
  const { programs, close } = await artifacts.prepare({ artifact: 64 })

  const held = await programs.find(({ name }) => name === 'varve, memory')?.measure()

  expect(held?.['held MiB']).toBeLessThan(16)
  await close?.()
})
