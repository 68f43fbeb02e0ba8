import { canonicalJson, contentId, type ContentId, type Json } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isArtifactRef } from './artifact-ref.ts'
import { artifactsIn, artifactsOf } from './artifacts-in.ts'

const A = contentId('a')
const B = contentId('b')

/** Every `$artifact` that is a content id, by a walk over the value. */
function walked(value: Json, found = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const each of value) walked(each as Json, found)
  else if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) {
      if (name === '$artifact' && typeof each === 'string' && /^sha256:[0-9a-f]{64}$/.test(each)) found.add(each)
      walked(each, found)
    }
  }
  return found
}

describe('the artifacts in a canonical text', () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd').map((text): string => contentId(text))
  const ref = fc.record({ $artifact: id, size: fc.nat(), mediaType: fc.constant('text/plain') })
  /** What comes close to a reference and is none. */
  const tricky = fc.oneof(
    ref.map((value) => canonicalJson(value)),
    ref.map((value) => canonicalJson(canonicalJson(value))),
    id.map((name) => `{"$artifact":"${name}"`),
    id.map((name) => `,"$artifact":"${name}"`),
    id,
    id.map((name) => `${name}0`),
    id.map((name) => name.toUpperCase()),
    fc.string(),
  )
  const name = fc.oneof(fc.constant('$artifact'), fc.constant('x"$artifact'), fc.constant('{"$artifact'), tricky)
  const value = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.oneof(tricky, ref, fc.integer(), fc.constant(null)),
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(name, tie('json'), { maxKeys: 4 }),
    ),
  })).json as fc.Arbitrary<Json>

  test('are those that a walk over the parsed value finds, whatever the texts in it look like', () => {
    fc.assert(
      fc.property(value, (json) => {
        const body = canonicalJson(json)

        expect(new Set(artifactsIn(body))).toEqual(walked(JSON.parse(body) as Json))
      }),
      { numRuns: 2000 },
    )
  })

  test('come each once, in the order in which they first stand there', () => {
    const refs = [B, A, B].map(($artifact) => ({ $artifact, size: 1, mediaType: 'x' }))

    expect(artifactsIn(canonicalJson({ refs }))).toEqual([B, A])
  })

  test.for([
    ['a text that holds one', { text: canonicalJson({ $artifact: A }) }],
    ['a name that ends like one', { 'x"$artifact': A }],
    ['an id alone', { id: A }],
    ['an id that is too long', { $artifact: `${A}0` }],
    ['a list of ids', { $artifact: [A] }],
  ] as const)('are none where there is only %s', ([, json]) => {
    expect(artifactsIn(canonicalJson(json))).toEqual([])
  })

  test('are gathered over events', () => {
    const bodies = [{ $artifact: A }, {}, { at: { $artifact: B } }, { $artifact: A }]

    expect(artifactsOf(bodies.map((json) => ({ body: canonicalJson(json) })))).toEqual([A, B])
  })
})

describe('a reference', () => {
  const ref = { $artifact: A, size: 0, mediaType: 'text/plain' }

  test('is known by its id, its size and what it is', () => {
    expect(isArtifactRef(ref)).toBe(true)
  })

  test.for<[string, unknown]>([
    ['null', null],
    ['an id', A],
    ['no id', { ...ref, $artifact: 'sha256:00' }],
    ['no size', { ...ref, size: undefined }],
    ['a negative size', { ...ref, size: -1 }],
    ['half a byte', { ...ref, size: 0.5 }],
    ['no media type', { ...ref, mediaType: null }],
  ])('is not %s', ([, value]) => {
    expect(isArtifactRef(value)).toBe(false)
  })

  test('has the type that an id has', () => {
    const value: unknown = ref
    const id: ContentId | undefined = isArtifactRef(value) ? value.$artifact : undefined

    expect(id).toBe(A)
  })
})
