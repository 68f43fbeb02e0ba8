import { memoryStore } from '@varve/store-memory'
import { virtualClock } from '@varve/testing'
import type { ContentId } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import { bytes } from '../definition/output.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { damageable, lose } from '../testing/damaged-store.ts'
import { planError } from '../testing/expected-errors.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

const DAY_MS = 24 * 60 * 60 * 1000

async function idOf(engine: Engine, runId: string, state: string): Promise<ContentId> {
  return (await engine.outputs(runId))[state]?.$artifact as ContentId
}

describe('an artifact is made again', () => {
  /** A text that was asked for outside, and a list that is made of it. */
  const reaching = () => {
    const asked = { count: 0, suffix: '' }
    const text = defineState({
      ...{ id: 'text', output: bytes({ mediaType: 'text/plain' }) },
      run: async ({ io }) => {
        const words = await io.fact('words', () => `words ${++asked.count}`)
        return new TextEncoder().encode(words + asked.suffix)
      },
    })
    const letters = mapState({
      ...{ id: 'letters', with: { text }, output: z.string() },
      items: () => [0, 1],
      key: (at: number) => `at${at}`,
      run: async ({ item, needs }) => String.fromCharCode((await needs.text.bytes())[item] as number),
    })
    return { asked, text, plan: definePlan({ id: 'p', version: '1', states: [text, letters], output: letters }) }
  }

  test.for(['gone', 'corrupt'])(
    'when it is %s: from the recorded facts, and without a trace in the log',
    async (how) => {
      const { store, damage } = damageable(memoryStore())
      const engine = testEngine({ store })
      const { plan, text, asked } = reaching()
      await engine.start(plan, undefined, { runId: 'r' })
      const events = await Array.fromAsync(engine.kernel.events('r'))
      const id = await idOf(engine, 'r', 'text')
      if (how === 'gone') await lose(store, id)
      else damage(id)
      const before = await engine.verify('r')

      const remade = await engine.remake('r', 'text')

      expect(before).toMatchObject({ ok: false, damaged: [{ key: 'text', artifact: id }] })
      expect(remade).toEqual({ artifact: id, remade: true })
      expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
      expect(new TextDecoder().decode(await (await engine.output('r', text)).bytes())).toBe('words 1')
      expect(asked.count).toBe(1)
      expect(await Array.fromAsync(engine.kernel.events('r'))).toEqual(events)
    },
  )

  test('also that of one item of a map', async () => {
    const store = memoryStore()
    const engine = testEngine({ store })
    const { plan } = reaching()
    await engine.start(plan, undefined, { runId: 'r' })
    const [entry] = JSON.parse(
      new TextDecoder().decode(await (await engine.artifact(await idOf(engine, 'r', 'letters'))).bytes()),
    ) as [{ output: { $artifact: ContentId } }]
    await lose(store, entry.output.$artifact)

    expect(await engine.remake('r', 'letters:item:at0')).toMatchObject({ remade: true })
    expect(await engine.output('r', 'letters')).toEqual([
      { key: 'at0', value: 'w' },
      { key: 'at1', value: 'o' },
    ])
  })

  test('not when it is whole', async () => {
    const engine = testEngine()
    await engine.start(reaching().plan, undefined, { runId: 'r' })

    expect(await engine.remake('r', 'text')).toMatchObject({ remade: false })
  })

  test('not when it comes out otherwise: then nothing is replaced', async () => {
    const { store, damage } = damageable(memoryStore())
    const engine = testEngine({ store })
    const { plan, asked } = reaching()
    await engine.start(plan, undefined, { runId: 'r' })
    const id = await idOf(engine, 'r', 'text')
    damage(id)
    asked.suffix = '!'

    await expect(engine.remake('r', 'text')).rejects.toMatchObject(planError('NOT_REPRODUCIBLE'))
    expect(await store.artifacts.has(id)).toBe(true)
  })

  test('not where nothing was made, nor by what may run only once', async () => {
    const store = memoryStore()
    const engine = testEngine({ store })
    const pay = defineState({ id: 'pay', effect: 'at-most-once', output: z.string(), run: () => 'paid' })
    await engine.start(definePlan({ id: 'p', version: '1', states: [pay] }), undefined, { runId: 'r' })
    await lose(store, await idOf(engine, 'r', 'pay'))

    await expect(engine.remake('r', 'gone')).rejects.toMatchObject(planError('NO_OUTPUT'))
    await expect(engine.remake('r', 'pay')).rejects.toMatchObject(planError('NO_OUTPUT'))
  })
})

describe('what is collected', () => {
  async function used() {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const engine = testEngine({ store, clock })
    const a = defineState({ id: 'a', output: z.string(), cache: true, run: () => 'cached' })
    const b = defineState({ id: 'b', output: z.string(), run: () => 'plain' })
    const plan = definePlan({ id: 'p', version: '1', states: [a, b] })
    await engine.start(plan, undefined, { runId: 'r' })
    const loose = await store.artifacts.put(new TextEncoder().encode('loose'))
    return { clock, store, engine, plan, loose }
  }

  test('is what no run, no cache entry and no pin refers to, after its time of grace', async () => {
    const { clock, engine, loose } = await used()

    const early = await engine.collect()
    clock.advance(DAY_MS + 1)
    const late = await engine.collect()

    expect(early.artifacts).toEqual([])
    expect(late.artifacts.map(({ id }) => id)).toEqual([loose])
    expect(late).toMatchObject({ bytes: 5, cacheEntries: 0 })
    expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
  })

  test('in a dry run is told, and stays', async () => {
    const { clock, store, engine, loose } = await used()
    clock.advance(DAY_MS + 1)

    const { artifacts } = await engine.collect({ dryRun: true })

    expect(artifacts.map(({ id }) => id)).toEqual([loose])
    expect(await store.artifacts.has(loose)).toBe(true)
  })

  test('is not what was used meanwhile', async () => {
    const { clock, store, engine, loose } = await used()
    clock.advance(DAY_MS)
    await store.artifacts.touch([loose])
    clock.advance(DAY_MS)

    expect((await engine.collect()).artifacts).toEqual([])
    expect((await engine.collect({ graceMs: 1000 })).artifacts).toHaveLength(1)
  })

  test('is not what is pinned, until the pin is taken out', async () => {
    const { clock, engine, loose } = await used()
    const pin = await engine.pin('keep', [loose])
    clock.advance(DAY_MS + 1)

    const pinned = await engine.collect()
    const unpinned = await engine.unpin('keep')
    const after = await engine.collect()

    expect(pin).toEqual({ name: 'keep', artifacts: [loose], createdAt: 1_700_000_000_000 })
    expect(pinned.artifacts).toEqual([])
    expect(unpinned).toBe(true)
    expect(after.artifacts).toHaveLength(1)
    expect(await engine.unpin('keep')).toBe(false)
  })

  test('after the runs are gone is what the cache does not keep, and that once its entries are old', async () => {
    const { clock, store, engine } = await used()
    await store.runs.remove('r', { ifTerminal: true })
    clock.advance(DAY_MS + 1)
    const kept = await engine.collect({ dryRun: true })
    const would = await engine.collect({ dryRun: true, cacheOlderThanMs: 1000 })

    const done = await engine.collect({ cacheOlderThanMs: 1000 })

    const texts = ({ artifacts }: typeof kept) => artifacts.map(({ size }) => size).toSorted((a, b) => a - b)
    expect(texts(would)).toEqual([...texts(kept), '"cached"'.length].toSorted((a, b) => a - b))
    expect(done).toEqual(would)
    expect(done.cacheEntries).toBe(1)
    expect((await store.artifacts.list({}, { limit: 10 })).items).toEqual([])
  })

  test('drops no pin by age', async () => {
    const { clock, engine, loose } = await used()
    await engine.pin('keep', [loose])
    clock.advance(DAY_MS * 100)

    expect((await engine.collect({ cacheOlderThanMs: 1 })).artifacts.map(({ id }) => id)).not.toContain(loose)
    expect(await engine.unpin('keep')).toBe(true)
  })

  test('is asked for with times that there are', async () => {
    for (const options of [{ graceMs: -1 }, { graceMs: Number.NaN }, { cacheOlderThanMs: Number.POSITIVE_INFINITY }]) {
      await expect(testEngine().collect(options)).rejects.toMatchObject(planError('INVALID_PARAMS'))
    }
  })

  test('goes through all that there is, page by page', async () => {
    const { clock, store, engine } = await used()
    for (let i = 0; i < 1200; i++) await store.artifacts.put(new TextEncoder().encode(`loose ${i}`))
    clock.advance(DAY_MS + 1)

    expect((await engine.collect()).artifacts).toHaveLength(1201)
  })
})

test('what is not there cannot be pinned', async () => {
  const engine = testEngine()

  await expect(engine.pin('keep', [`sha256:${'0'.repeat(64)}`])).rejects.toMatchObject(planError('NO_OUTPUT'))
})
