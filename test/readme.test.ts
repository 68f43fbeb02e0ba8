import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type {} from './postgres/global-setup.ts'

const run = promisify(execFile)
const root = path.resolve(import.meta.dirname, '..')

/** A folder from which all packages can be imported. */
const folder = path.join(root, 'packages', 'plan', '.cache', 'readme')

interface Block {
  readonly title: string
  readonly code: string
  /** Where it is written to, in a folder of its own. */
  readonly file: string
}

/** The `ts` blocks of the READMEs. */
const blocks: readonly Block[] = readmes().flatMap((name) => {
  const text = readFileSync(path.join(root, name), 'utf8')
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ''], i) => {
    const title = `${name} #${i + 1}`
    return { title, code, file: path.join(folder, title.replaceAll(/[^a-zA-Z0-9]+/g, '-'), 'program.ts') }
  })
})

/** The contract suite's is no program but a test file: `store-memory` checks it against its own. */
const programs = blocks.filter(({ title }) => !title.startsWith('packages/store-contract/'))

function readmes(): string[] {
  return ['README.md', ...readdirSync(path.join(root, 'packages')).map((name) => `packages/${name}/README.md`)]
}

/** Runs a program in a folder that is removed in the end: by default in the one in which it lies. */
function runProgram({ file }: Block, cwd = path.dirname(file)): ReturnType<typeof run> {
  return run(process.execPath, ['--conditions=@varve/source', file], {
    cwd,
    env: { ...process.env, DATABASE_URL: inject('pgUrl') },
  })
}

/** @returns what `tsc` says of the blocks, and of nothing that they import. */
function complaints(): string {
  const options = {
    noUnusedLocals: false,
    noUnusedParameters: false,
    paths: { '@varve/store-contract': ['./packages/store-contract/src/index.ts'] },
  }
  const config: unknown = {
    extends: './tsconfig.base.json',
    compilerOptions: options,
    files: blocks.map(({ file }) => file),
  }
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(parsed.fileNames, parsed.options)
  const found = blocks.flatMap(({ file }) => {
    const source = program.getSourceFile(file)
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
  })
  const host = {
    getCurrentDirectory: () => folder,
    getCanonicalFileName: (name: string) => name,
    getNewLine: () => '\n',
  }
  return ts.formatDiagnostics([...parsed.errors, ...found], host)
}

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true })
  for (const { file, code } of blocks) {
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, code)
  }
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('the programs in the READMEs run', () => {
  test.for(programs)('$title', { timeout: 60_000 }, async (block) => {
    await expect(runProgram(block)).resolves.toHaveProperty('stderr', '')
  })
})

test('what is in the READMEs compiles', { timeout: 60_000 }, () => {
  expect(complaints()).toBe('')
})

test('the first program, run twice, comes to the same end of one run', { timeout: 60_000 }, async () => {
  const [first] = programs
  if (first === undefined) throw new Error('README.md has no program')
  const cwd = path.join(folder, 'twice')
  mkdirSync(cwd)

  const once = String((await runProgram(first, cwd)).stdout)
  const twice = String((await runProgram(first, cwd)).stdout)

  expect(once).toMatch(/^blocked\nwelcome, .+\ncompleted\n1 RunStarted/)
  expect(twice).toBe(once.replace(/^blocked\nwelcome, .+\n/, 'completed\n'))
})
