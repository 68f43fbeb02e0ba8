import { expect, test } from 'vitest'
import { z } from 'zod'
import { bytes } from '../definition/output.ts'
import { definePlan } from '../definition/plan.ts'
import { mapState } from '../definition/map-state.ts'
import type { AnyState } from '../definition/need.ts'
import { defineState } from '../definition/state.ts'
import { testEngine } from '../testing/test-engine.ts'

/** Shows the media type of a page that is the same bytes whatever its type. */
function showing(version: string, mediaType: string) {
  const page = defineState({ id: 'page', output: bytes({ mediaType }), run: () => Buffer.from('a,b') })
  const link = defineState({
    ...{ id: 'link', needs: { page }, output: z.string(), cache: true },
    run: ({ needs }) => `${needs.page.mediaType} of ${needs.page.size} bytes`,
  })
  return definePlan({ id: 'p', version, states: [page, link], output: link })
}

test('a cached state that sees other media types of equal bytes is computed for each', async () => {
  const engine = testEngine()

  const outputs: unknown[] = []
  for (const [version, mediaType] of [
    ['1', 'text/csv'],
    ['2', 'text/plain'],
    ['3', 'text/csv'],
  ] as const) {
    outputs.push(await engine.start(showing(version, mediaType), undefined, { runId: `r${version}` }))
  }

  expect(outputs).toMatchObject([
    { output: 'text/csv of 3 bytes' },
    { output: 'text/plain of 3 bytes' },
    { output: 'text/csv of 3 bytes' },
  ])
  expect(await engine.explain('r2', 'link', { against: 'r1' })).toMatchObject([{ reason: 'changed: needs.page' }])
  expect(await engine.explain('r3', 'link')).toMatchObject([{ status: 'cached' }])
})

test('items of a cached map that see other media types of equal bytes are computed for each', async () => {
  const engine = testEngine()
  const other = defineState({ id: 'other', output: z.int(), run: () => 1 })
  const planOf = (version: string, mediaType: string) => {
    const page = defineState({ id: 'page', output: bytes({ mediaType }), run: () => Buffer.from('a,b') })
    const links = mapState({
      // What the list is made of may have the same name as what its items see.
      ...{
        id: 'links',
        needs: { page: other },
        with: { page },
        items: () => [1],
        key: String,
        output: z.string(),
        cache: true,
      },
      run: ({ needs }) => needs.page.mediaType,
    })
    return definePlan({ id: 'p', version, states: [other, page, links], output: links })
  }

  expect(await engine.start(planOf('1', 'text/csv'), undefined, { runId: 'r1' })).toMatchObject({
    output: [{ value: 'text/csv' }],
  })
  expect(await engine.start(planOf('2', 'text/plain'), undefined, { runId: 'r2' })).toMatchObject({
    output: [{ value: 'text/plain' }],
  })
  const [, item] = await engine.explain('r2', 'links')
  expect(item).toMatchObject({ reason: 'changed: needs.page' })
})

/** Shows how it is given what another state makes. */
function reading(version: string, made: AnyState) {
  const kind = defineState({
    ...{ id: 'kind', needs: { made }, output: z.string(), cache: true },
    run: ({ needs }) => `${typeof needs.made} ${Object.keys(needs.made as object).join(' ')}`,
  })
  return definePlan({ id: 'p', version, states: [made, kind], output: kind })
}

test('a cached state that sees equal bytes as a value and as bytes is computed for each', async () => {
  const engine = testEngine()
  const value = defineState({ id: 'made', output: z.object({ a: z.int() }), run: () => ({ a: 1 }) })
  const output = bytes({ mediaType: 'application/json' })
  const raw = defineState({ id: 'made', output, run: () => Buffer.from('{"a":1}') })

  expect(await engine.start(reading('1', value), undefined)).toMatchObject({ output: 'object a' })
  expect(await engine.start(reading('2', raw), undefined, { runId: 'r2' })).not.toMatchObject({ output: 'object a' })
  expect(await engine.explain('r2', 'kind')).toMatchObject([{ reason: 'changed: needs.made' }])
})

test('a cached state that sees equal bytes as a value and as a list of outputs is computed for each', async () => {
  const engine = testEngine()
  const listed = mapState({ id: 'made', items: () => [7], key: String, output: z.int(), run: ({ item }) => item })
  await engine.start(reading('1', listed), undefined, { runId: 'r1' })
  const { made } = await engine.outputs('r1')
  const list: unknown = JSON.parse(Buffer.from(await (await engine.artifact(made!.$artifact)).bytes()).toString())
  const value = defineState({ id: 'made', output: z.unknown(), run: () => list })

  await engine.start(reading('2', value), undefined, { runId: 'r2' })

  expect(await engine.outputs('r2')).toMatchObject({ made: { $artifact: made!.$artifact } })
  expect(await engine.explain('r2', 'kind')).toMatchObject([{ reason: 'changed: needs.made' }])
})

test('a cached state with params that are empty is not the one without params', async () => {
  const engine = testEngine()
  const run = (context: { readonly params: unknown }): string => typeof context.params
  const told = defineState({ id: 'a', params: z.object({}), output: z.string(), cache: true, run })
  const untold = defineState({ id: 'a', output: z.string(), cache: true, run })
  const first = definePlan({ id: 'p', version: '1', params: z.object({}), states: [told], output: told })
  const second = definePlan({ id: 'p', version: '2', states: [untold], output: untold })

  expect(await engine.start(first, {})).toMatchObject({ output: 'object' })
  expect(await engine.start(second, undefined)).toMatchObject({ output: 'undefined' })
})
