import { fileArtifacts } from '@varve/artifacts-fs'
import { createKernel } from '@varve/kernel'
import type { ContentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { mapState } from '../definition/map-state.ts'
import type { AnyState } from '../definition/need.ts'
import { bytes } from '../definition/output.ts'
import { definePlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'
import { testEngine } from '../testing/test-engine.ts'
import type { Engine } from './engine.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-mending-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Changes the bytes of an artifact where they lie. */
function damage(id: ContentId): void {
  const [name] = globSync(`sha256/**/${id.slice('sha256:'.length)}/*.bytes`, { cwd: folder })
  const file = path.join(folder, name ?? '')
  writeFileSync(
    file,
    readFileSync(file).map((byte) => byte ^ 1),
  )
}

const engines = {
  'its own kernel': () => testEngine({ store: memoryStore(), artifacts: fileArtifacts({ folder }) }),
  'a kernel that it was given': () => {
    const store = memoryStore()
    return testEngine({ store, kernel: createKernel({ store, artifacts: fileArtifacts({ folder }), workflows: [] }) })
  },
} satisfies Record<string, () => Engine>

let runs = 0

async function* pages(): AsyncGenerator<Uint8Array> {
  runs++
  yield Buffer.from('one ')
  yield Buffer.from('page')
}

const outputs: Record<string, AnyState> = {
  'a value': defineState({ id: 'made', cache: true, output: z.int(), run: () => ++runs && 7 }),
  bytes: defineState({ id: 'made', cache: true, output: bytes(), run: () => Buffer.from(++runs ? 'page' : '') }),
  'a stream': defineState({ id: 'made', cache: true, output: bytes(), run: () => pages() }),
}

const cases = Object.keys(engines).flatMap((kernel) => Object.keys(outputs).map((kind) => [kernel, kind] as const))

/** Makes an output in run a, damages it, and starts run b that comes to the same. */
async function startAgain(engine: Engine, made: AnyState) {
  const plan = definePlan({ id: 'p', version: '1', states: [made] })
  await engine.start(plan, undefined, { runId: 'a' })
  damage((await engine.outputs('a'))['made']!.$artifact)
  return { plan, outcome: await engine.start(plan, undefined, { runId: 'b' }) }
}

describe('a damaged output that a later run would take over', () => {
  test.for(cases)('is made anew and replaced on %s where it is %s', async ([kernel, kind]) => {
    await using engine = engines[kernel as keyof typeof engines]()

    const { plan, outcome } = await startAgain(engine, outputs[kind] as AnyState)

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(await engine.verify('a')).toMatchObject({ ok: true, damaged: [] })
    expect(await engine.outputs('b')).toEqual(await engine.outputs('a'))
    runs = 0
    await engine.start(plan, undefined, { runId: 'c' })
    expect(runs).toBe(0)
  })

  test('stays as it is where the state makes something else now', async () => {
    await using engine = engines['its own kernel']()
    let page = 'one'
    const made = defineState({
      ...{ id: 'made', cache: true, output: bytes() },
      run: async function* () {
        yield Buffer.from(page)
      },
    })
    const plan = definePlan({ id: 'p', version: '1', states: [made] })
    await engine.start(plan, undefined, { runId: 'a' })
    const { $artifact } = (await engine.outputs('a'))['made']!
    damage($artifact)
    page = 'two'

    const outcome = await engine.start(plan, undefined, { runId: 'b' })

    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'NOT_REPRODUCIBLE' } })
    expect(await engine.kernel.artifacts.has($artifact)).toBe(true)
  })
})

describe('what a run makes beside that, and was damaged in another,', () => {
  test.for(Object.keys(engines))('is replaced on %s: lists, what they are made of, and manifests', async (kernel) => {
    await using engine = engines[kernel as keyof typeof engines]()
    const items = Array.from({ length: 3 }, (_, n) => ({ n, text: String(n).repeat(2000) }))
    const list = mapState({ id: 'list', items: () => items, key: ({ n }) => `n${n}`, output: z.int(), run: () => 1 })
    const plan = definePlan({ id: 'p', version: '1', states: [list], output: list })
    await engine.start(plan, undefined, { runId: 'a' })
    const { items: kept } = await engine.kernel.artifacts.list({}, { limit: 100 })
    for (const { id } of kept) damage(id)

    const outcome = await engine.start(plan, undefined, { runId: 'b' })

    expect(outcome).toMatchObject({ status: 'completed' })
    expect(await engine.verify('a')).toMatchObject({ ok: true, damaged: [] })
  })

  test.for(Object.keys(engines))(
    'is replaced on %s by the first attempt of a state that streams it',
    async (kernel) => {
      await using engine = engines[kernel as keyof typeof engines]()
      runs = 0

      const { outcome } = await startAgain(engine, defineState({ id: 'made', output: bytes(), run: () => pages() }))

      expect(outcome).toMatchObject({ status: 'completed' })
      expect(runs).toBe(2)
      expect(await engine.verify('a')).toMatchObject({ ok: true, damaged: [] })
    },
  )
})

test('a damaged need that a stream passes on fails what needs it, says what helps, and takes nothing away', async () => {
  await using engine = engines['its own kernel']()
  const source = defineState({ id: 'source', output: bytes(), run: () => Buffer.from('source') })
  const copy = defineState({
    ...{ id: 'copy', needs: { source }, cache: true, output: bytes() },
    run: ({ needs }) => needs.source.stream(),
  })
  const plan = definePlan({ id: 'p', version: '1', states: [source, copy] })
  const empty = await engine.kernel.artifacts.put(Buffer.alloc(0))
  await engine.start(plan, undefined, { runId: 'a' })
  const { $artifact } = (await engine.outputs('a'))['source']!
  damage($artifact)

  const outcome = await engine.fork('a', { from: copy, as: 'b' })

  const message = expect.stringContaining('remake the state that made it') as string
  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'ARTIFACT_CORRUPT', message } })
  expect(await engine.kernel.artifacts.touch([empty, $artifact])).toEqual([empty, $artifact])
})
