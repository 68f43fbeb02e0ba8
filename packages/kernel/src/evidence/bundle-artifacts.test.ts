import { contentId, type ContentId } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ArtifactRef } from '../artifacts/artifact-ref.ts'
import { createKernel } from '../kernel/kernel.ts'
import { bundleOf, closed, forge, linesOf } from '../testing/bundles.ts'
import { kernelError, storeError } from '../testing/expected-errors.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { parseBundleLine, PART_BYTES, type ArtifactPart, type BundleLine } from './bundle-line.ts'
import type { ExportEvidenceOptions } from './export-evidence.ts'
import { verifyEvidence } from './verify-evidence.ts'

const small = 'small'
const large = Buffer.alloc(2 * PART_BYTES + 10, 'large')

/** Puts something small and something large; its child puts what is small again, and something of its own. */
async function family() {
  const store = memoryStore()
  const child = defineWorkflow(
    {
      ...{ name: 'child', version: '1', input: z.json() },
      actions: {
        put: { run: async (_: null, { artifacts }) => [await artifacts.put(small), await artifacts.put('own')] },
      },
    },
    { step: ({ results }, next) => (results['put'] ? next.complete(null) : next.run('put', null)) },
  )
  const parent = defineWorkflow(
    {
      ...{ name: 'parent', version: '1', input: z.null() },
      actions: {
        put: {
          run: async (_: null, { artifacts }) => ({
            refs: [
              await artifacts.put(large, { mediaType: 'image/x' }),
              await artifacts.put(small),
              await artifacts.put(''),
            ],
          }),
        },
      },
    },
    {
      step: ({ results }, next) => {
        if (!results['put']) return next.run('put', null)
        return results['child'] ? next.complete(null) : next.child(child, null)
      },
    },
  )
  const kernel = createKernel({ store, workflows: [parent, child] })
  await kernel.start(parent, null, { runId: 'r' })
  return { store, kernel }
}

/** The bundle of a run that refers to the large one alone. */
async function givenLarge(): Promise<string> {
  const workflow = defineWorkflow(
    { name: 'given', version: '1', input: z.json() },
    { step: (_, next) => next.complete(null) },
  )
  const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })
  const ref: ArtifactRef = { $artifact: await kernel.artifacts.put(large), size: large.length, mediaType: 'x' }
  await kernel.start(workflow, ref, { runId: 'r' })
  return bundleOf(kernel, 'r')
}

function partsIn(text: string): (ArtifactPart & { readonly line: number })[] {
  return linesOf(text).flatMap((line, i) => {
    const content = parseBundleLine(line.trimEnd(), i + 1)
    return content.kind === 'artifact' ? [{ ...content.part, line: i + 1 }] : []
  })
}

const id = contentId

describe('a bundle', () => {
  test('holds what its runs refer to, each once, behind the first run that does, in parts', async () => {
    const { kernel } = await family()

    const text = await bundleOf(kernel, 'r', { children: true })

    const parts = partsIn(text)
    expect(parts.map((part) => [part.id, part.offset, part.size])).toEqual([
      [id(large), 0, large.length],
      [id(large), PART_BYTES, large.length],
      [id(large), 2 * PART_BYTES, large.length],
      [id(small), 0, 5],
      [id(''), 0, 0],
      [id('own'), 0, 3],
    ])
    expect(parts[0]?.mediaType).toBe('image/x')
    expect(await verifyEvidence(text)).toMatchObject({ ok: true, artifacts: 'included', runs: [{}, {}] })
  })

  test('is written the same whatever chunks the artifacts come in', async () => {
    const { store, kernel } = await family()
    const crumbled = {
      ...store.artifacts,
      get: async (wanted: ContentId) => {
        const stored = await store.artifacts.get(wanted)
        const stream = async function* (): AsyncGenerator<Uint8Array> {
          const bytes = await stored.bytes()
          for (let from = 0; from < bytes.length; from += 100_000) yield bytes.subarray(from, from + 100_000)
        }
        return { ...stored, stream }
      },
    }
    const other = createKernel({ store, artifacts: crumbled, workflows: [] })

    expect(await bundleOf(other, 'r')).toBe(await bundleOf(kernel, 'r'))
  })

  test('is signed with its artifacts', async () => {
    const { kernel } = await family()
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')

    const text = await bundleOf(kernel, 'r', { sign: privateKey })

    const verified = await verifyEvidence(text, { trustedKeys: [publicKey] })
    expect(verified).toMatchObject({ ok: true, anchored: 'signed', artifacts: 'included' })
  })

  test('holds none of them when they are omitted, and says so', async () => {
    const { kernel } = await family()

    const text = await bundleOf(kernel, 'r', { artifacts: 'omit' })

    expect(partsIn(text)).toEqual([])
    expect(await verifyEvidence(text)).toMatchObject({ ok: true, artifacts: 'omitted' })
  })

  test('is not written without an artifact that is gone, unless they are omitted', async () => {
    const { store, kernel } = await family()
    expect(await store.artifacts.delete(id(small), { ifUnusedSince: Date.now() + 1000 })).toBe(true)

    const exporting = bundleOf(kernel, 'r')

    await expect(exporting).rejects.toMatchObject({
      ...storeError('ARTIFACT_NOT_FOUND'),
      where: { runId: 'r', seq: 3 },
    })
    expect(await verifyEvidence(await bundleOf(kernel, 'r', { artifacts: 'omit' }))).toMatchObject({ ok: true })
  })
})

describe('a change of an artifact is found', () => {
  test('in its line, when a bit of it is flipped', async () => {
    const text = await bundleOf((await family()).kernel, 'r')
    const lines = linesOf(text)

    for (const { line } of partsIn(text)) {
      const at = lines[line - 1]!.indexOf('"bytes":"') + 9
      const flipped = lines[line - 1]!.slice(0, at) + '!' + lines[line - 1]!.slice(at + 1)
      const verified = await verifyEvidence(lines.with(line - 1, flipped).join(''))

      expect(verified).toMatchObject({ ok: false, code: 'INVALID_BUNDLE', where: { line } })
    }
  })

  test('where it begins, when everything around it was made to fit', async () => {
    const text = await bundleOf((await family()).kernel, 'r')
    const first = partsIn(text)[0]!.line
    const part = (one: ArtifactPart): Partial<ArtifactPart> => {
      if (one.offset !== PART_BYTES) return {}
      const bytes = Buffer.from(one.bytes, 'base64')
      bytes[7]! ^= 1
      return { bytes: bytes.toString('base64') }
    }

    const verified = await verifyEvidence(forge(text, { part }))

    expect(verified).toMatchObject({ ok: false, code: 'ARTIFACT_DIFFERS', where: { line: first, runId: 'r' } })
  })

  test.for<[string, string | Buffer, number]>([
    ['the first', large, 1],
    ['one amid others', small, 1],
    ['the last', '', 1],
  ])('where the log refers to it, when %s of them is left out', async ([, content]) => {
    const text = await bundleOf((await family()).kernel, 'r')

    const verified = await verifyEvidence(forge(text, { part: (one) => (one.id === id(content) ? undefined : {}) }))

    expect(verified).toMatchObject({ ok: false, code: 'ARTIFACT_MISSING', where: { runId: 'r', seq: 3 } })
    expect(verified).toMatchObject({ message: expect.stringContaining(id(content)) as string })
  })

  test.for<[string, (part: ArtifactPart) => Partial<ArtifactPart> | undefined]>([
    ['a part of it is left out', ({ offset }) => (offset === PART_BYTES ? undefined : {})],
    ['its last part is left out', ({ offset }) => (offset === 2 * PART_BYTES ? undefined : {})],
    ['its parts disagree on its size', ({ offset, size }) => (offset === PART_BYTES ? { size: size + 1 } : {})],
    ['its parts disagree on what it is', ({ offset }) => (offset === PART_BYTES ? { mediaType: 'text/x' } : {})],
    ['a part is shorter than it should be', ({ offset }) => (offset === PART_BYTES ? { bytes: 'AAAA' } : {})],
    ['it is one that no log refers to', ({ size }) => (size === 5 ? { id: id('another') } : {})],
  ])('when %s', async ([, part]) => {
    const text = await bundleOf((await family()).kernel, 'r')

    expect(await verifyEvidence(forge(text, { part }))).toMatchObject({ ok: false, code: 'INVALID_BUNDLE' })
  })

  test('when it ends amid its run', async () => {
    const text = await givenLarge()

    const part = ({ offset }: ArtifactPart) => (offset === 2 * PART_BYTES ? undefined : {})
    expect(await verifyEvidence(forge(text, { part }))).toMatchObject({ ok: false, code: 'INVALID_BUNDLE' })
  })

  test('when it stands in another place than its run refers to it', async () => {
    const text = await bundleOf((await family()).kernel, 'r')
    const lines = linesOf(text).map((line, i) => parseBundleLine(line.trimEnd(), i + 1))
    const isSmall = (line: BundleLine): boolean => line.kind === 'artifact' && line.part.id === id(small)
    const others = lines.filter((line) => line.kind !== 'end' && !isSmall(line))

    const verified = await verifyEvidence(closed([...others, ...lines.filter(isSmall)]))

    expect(verified).toMatchObject({ ok: false, code: 'ARTIFACT_MISSING', where: { seq: 3 } })
  })

  test('when it stands in a bundle that has none', async () => {
    const { kernel } = await family()
    const bare = linesOf(await bundleOf(kernel, 'r', { artifacts: 'omit' }))
    const part = linesOf(await bundleOf(kernel, 'r')).find((line) => line.startsWith('{"artifact":'))!

    const verified = await verifyEvidence([...bare.slice(0, -1), part, bare.at(-1)!])

    expect(verified).toMatchObject({ ok: false, code: 'INVALID_BUNDLE', where: { line: bare.length } })
  })
})

test('a reader takes no more artifacts than it was told to', async () => {
  const text = await bundleOf((await family()).kernel, 'r')

  expect(await verifyEvidence(text, { limits: { artifacts: 2 } })).toMatchObject({ ok: false, code: 'LIMIT_EXCEEDED' })
  expect(await verifyEvidence(text, { limits: { artifacts: 3 } })).toMatchObject({ ok: true })
})

test('a reader with small limits takes parts of artifacts all the same', async () => {
  expect(await verifyEvidence(await givenLarge(), { limits: { bodyBytes: 1000 } })).toMatchObject({ ok: true })
})

test.for<[what: string, options: unknown]>([
  ['children: 1', { children: 1 }],
  ['children: yes', { children: 'yes' }],
  ['children: null', { children: null }],
  ['artifacts: true', { artifacts: true }],
  ['artifacts: included', { artifacts: 'included' }],
  ['artifacts: null', { artifacts: null }],
])('nothing is written of a bundle with %s', async ([, options]) => {
  const { kernel } = await family()
  const lines: string[] = []
  const writing = async (): Promise<void> => {
    for await (const line of kernel.exportEvidence('r', options as ExportEvidenceOptions)) lines.push(line)
  }

  await expect(writing()).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  expect(lines).toEqual([])
})
