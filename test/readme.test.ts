import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, inject, test } from 'vitest'
import type {} from './postgres/global-setup.ts'

const run = promisify(execFile)
const root = path.resolve(import.meta.dirname, '..')

/** A folder from which all packages can be imported. */
const folder = path.join(root, 'packages', 'plan', '.cache', 'readme')

interface Block {
  readonly title: string
  readonly code: string
}

/** The `ts` blocks of the READMEs. The contract suite's is no program but a test file: `store-memory` checks it against its own. */
function programs(): Block[] {
  const names = readdirSync(path.join(root, 'packages')).filter((name) => name !== 'store-contract')
  const files = ['README.md', ...names.map((name) => `packages/${name}/README.md`)]
  return files.flatMap((file) => {
    const text = readFileSync(path.join(root, file), 'utf8')
    return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ''], i) => ({ title: `${file} #${i + 1}`, code }))
  })
}

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('the programs in the READMEs run', () => {
  test.for(programs())('$title', { timeout: 60_000 }, async ({ title, code }) => {
    mkdirSync(folder, { recursive: true })
    const file = path.join(folder, `${title.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.ts`)
    writeFileSync(file, code)

    const program = run(process.execPath, ['--conditions=@varve/source', file], {
      env: { ...process.env, DATABASE_URL: inject('pgUrl') },
    })

    await expect(program).resolves.toHaveProperty('stderr', '')
  })
})
