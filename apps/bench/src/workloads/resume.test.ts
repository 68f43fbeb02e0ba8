import { expect, test } from 'vitest'
import { memorySite } from '../sites/memory-site.ts'
import { resume } from './resume.ts'

const amounts = { steps: 1, runs: 1, fan: 1, starts: 1, states: 1, indexed: 1, longest: 1, timers: 1, artifact: 1 }

async function eventsRead(recorded: number): Promise<Readonly<Record<string, number>>> {
  const site = await memorySite()
  const { programs } = await resume.prepare(site, { ...amounts, recorded })
  const read: Record<string, number> = {}
  // The first round leaves the snapshot for the second.
  for (const { name, measure } of [...programs, ...programs]) read[name] = (await measure())['events read'] ?? NaN
  await site.close()
  return read
}

test('a long run goes on from its snapshot without reading more than a shorter one', async () => {
  const [short, long] = [await eventsRead(200), await eventsRead(800)]

  expect(long['varve, from a snapshot']).toBe(short['varve, from a snapshot'])
  expect(long['varve, from a snapshot']).toBeLessThan(20)
  expect(long['varve']).toBeGreaterThan(1600)
})

test('a kernel that resumes a run holds less than four times its log', async () => {
  const site = await memorySite()
  const { programs } = await resume.prepare(site, { ...amounts, recorded: 4_000 })

  const held = await programs.find(({ name }) => name === 'varve, memory')?.measure()

  expect(held?.['held / log']).toBeLessThan(4)
  await site.close()
})
