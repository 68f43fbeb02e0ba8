import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const folder = path.join(import.meta.dirname, '..')

test('the example of the README prints what it says', { timeout: 30_000 }, async () => {
  const text = await readFile(path.join(folder, 'README.md'), 'utf8')
  const code = /```ts\n(?<code>.*?)```/s.exec(text)?.groups?.['code'] ?? ''
  // Inside the package, so that its own name resolves.
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
