import { fileArtifacts } from '@varve/artifacts-fs'
import { memoryStore } from '@varve/store-memory'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { bytes, createEngine, definePlan, defineState } from '../index.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-elsewhere-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const page = defineState({ id: 'page', output: bytes(), run: () => new TextEncoder().encode('a page of its own') })
const plan = definePlan({ id: 'paging', version: '1', states: [page], output: page })

test('artifacts may be kept elsewhere than the log, and one that is damaged there is named and made again', async () => {
  const store = memoryStore()
  await using engine = createEngine({ store, artifacts: fileArtifacts({ folder }), plans: [plan] })
  await engine.start(plan, undefined, { runId: 'r' })
  const kept = await engine.output('r', page)
  const [file] = globSync(`sha256/**/${kept.id.slice('sha256:'.length)}/*.bytes`, { cwd: folder })
  const damaged = path.join(folder, file ?? '')
  writeFileSync(
    damaged,
    readFileSync(damaged).map((byte) => byte ^ 1),
  )

  const found = await engine.verify('r')
  const remade = await engine.remake('r', 'page')

  expect((await store.artifacts.list({}, { limit: 10 })).items).toEqual([])
  expect(found).toMatchObject({ ok: false, damaged: [{ key: 'page', artifact: kept.id }] })
  expect(remade).toEqual({ artifact: kept.id, remade: true })
  expect(new TextDecoder().decode(await (await engine.output('r', page)).bytes())).toBe('a page of its own')
  expect(await engine.verify('r')).toMatchObject({ ok: true, damaged: [] })
})
