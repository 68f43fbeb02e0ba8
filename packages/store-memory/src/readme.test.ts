import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const folder = path.join(import.meta.dirname, '..')

async function firstExample(readme: string): Promise<string> {
  const text = await readFile(path.join(folder, readme), 'utf8')
  return /```ts\n(?<code>.*?)```/s.exec(text)?.groups?.['code'] ?? ''
}

test('the example of the README prints what it says', async () => {
  const code = await firstExample('README.md')
  // Inside the package, so that its dependencies and its own name resolve.
  const scratch = await mkdtemp(path.join(folder, '.readme-'))
  try {
    await writeFile(path.join(scratch, 'example.ts'), code)
    const args = ['--conditions=@varve/source', path.join(scratch, 'example.ts')]
    const { stdout } = await promisify(execFile)(process.execPath, args)

    const said = [...code.matchAll(/^\/\/ (.*)$/gm)].map(([, line]) => `${line}\n`)
    expect(stdout).toBe(said.join(''))
  } finally {
    await rm(scratch, { recursive: true })
  }
})

test("the suite's README shows the contract test of this package", async () => {
  const shown = await firstExample('../store-contract/README.md')
  const run = await readFile(path.join(import.meta.dirname, 'memory-store.contract.test.ts'), 'utf8')

  expect(shown).toBe(run.replace('./memory-store.ts', '@varve/store-memory'))
})
