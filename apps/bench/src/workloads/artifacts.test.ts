import { expect, onTestFinished, test } from 'vitest'
import { artifacts } from './artifacts.ts'

test('streaming an artifact in and out holds no more of it than fits into a quarter of its bytes', async () => {
  const { programs, close } = await artifacts.prepare({ artifact: 64 })
  onTestFinished(async () => close?.())

  const held = await programs.find(({ name }) => name === 'varve, memory')?.measure()

  expect(held?.['held MiB']).toBeLessThan(16)
})
