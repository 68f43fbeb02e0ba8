import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { sha256 } from '@varve/store'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { provenanceOf } from './provenance.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-provenance-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const machine = { nodeVersion: process.versions.node, platform: `${process.platform}-${process.arch}` }

test('of a folder without anything, nothing but the machine is known', async () => {
  expect(await provenanceOf(path.join(folder, 'gone'))).toEqual({ gitCommit: null, lockfileHash: null, ...machine })
})

test('the commit and the nearest lockfile above are known', async () => {
  const inner = path.join(folder, 'packages', 'a')
  mkdirSync(inner, { recursive: true })
  writeFileSync(path.join(folder, 'package-lock.json'), '{}')
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.c', ...args], {
      cwd: folder,
      encoding: 'utf8',
    }).trim()
  git('init', '-q')
  git('commit', '-q', '--allow-empty', '-m', 'Begin')

  const known = await provenanceOf(inner)

  expect(known).toEqual({ gitCommit: git('rev-parse', 'HEAD'), lockfileHash: sha256('{}'), ...machine })
})

test('a lockfile that is nearer wins', async () => {
  const inner = path.join(folder, 'b')
  mkdirSync(inner)
  writeFileSync(path.join(inner, 'yarn.lock'), '# yarn')

  expect(await provenanceOf(inner)).toMatchObject({ lockfileHash: sha256('# yarn') })
})
