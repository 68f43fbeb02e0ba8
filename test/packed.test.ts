import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { toolPath } from '../scripts/tool-path.ts'
import { readWorkspace, type WorkspacePackage } from '../scripts/workspace.ts'

const SET_UP_MS = 180_000

const root = path.join(import.meta.dirname, '..')
const published = readWorkspace(root).filter(({ manifest }) => manifest.private !== true)

let project: string
beforeAll(async () => {
  project = mkdtempSync(path.join(tmpdir(), 'varve-packed-'))
  await run('turbo', ['run', 'build', '--filter=./packages/*', '--output-logs=errors-only'], root)
  const tarballs = await Promise.all(published.map((each) => pack(each, path.join(project, 'tarballs'))))
  await install(project, Object.fromEntries(tarballs))
}, SET_UP_MS)
afterAll(() => rmSync(project, { recursive: true, force: true }))

test('the packed packages load in a project of their own and drive a run to its end there', async () => {
  const names = published.map(({ manifest }) => manifest.name)
  copyFileSync(path.join(root, 'test', 'packed', 'program.mjs'), path.join(project, 'program.mjs'))

  const output = await run(process.execPath, ['program.mjs', ...names], project)

  const loaded = names.map((name) => `loaded ${name}`)
  expect(output.trim().split('\n')).toEqual([...loaded, 'completed 42 true true', 'crash-proof 0', 'planned 42'])
})

/** Packs one package as it would be published. Returns its name and the tarball. */
async function pack({ folder, manifest }: WorkspacePackage, target: string): Promise<[name: string, tarball: string]> {
  const own = path.join(target, path.basename(folder))
  mkdirSync(own, { recursive: true })
  const answer = await run('pnpm', ['pack', '--json', '--pack-destination', own], path.join(root, folder))
  const { filename } = JSON.parse(answer) as { readonly filename: string }
  return [manifest.name, `file:${path.resolve(own, filename)}`]
}

/** Installs the tarballs, also where they name each other, next to the drivers that users bring along. */
async function install(folder: string, tarballs: Readonly<Record<string, string>>): Promise<void> {
  const workspace = readFileSync(path.join(root, 'pnpm-workspace.yaml'), 'utf8')
  const settings = workspace.slice(workspace.indexOf('engineStrict:'))
  const overrides = Object.entries(tarballs).map(([name, tarball]) => `  '${name}': ${tarball}\n`)
  writeFileSync(path.join(folder, 'pnpm-workspace.yaml'), `${settings.trimEnd()}\n${overrides.join('')}`)
  const dependencies = { ...tarballs, ...peers() }
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  await run('pnpm', ['install', '--prefer-offline', '--no-frozen-lockfile'], folder)
}

/** The peers of our packages, in the versions that our own tests use. */
function peers(): Record<string, string> {
  const wanted = published.flatMap(({ manifest }) =>
    Object.keys(manifest.peerDependencies ?? {}).map(
      (name) => [name, manifest.devDependencies?.[name] ?? '*'] as const,
    ),
  )
  return Object.fromEntries(wanted)
}

/** Runs a command to its end. @throws with all it printed when it fails. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  // Nothing of this folder, which is gone afterwards, stays in the cache of compiled code.
  const { NODE_OPTIONS: _, NODE_COMPILE_CACHE: __, ...env } = process.env
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd, env: { ...env, PATH: toolPath } })
    return stdout
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${command} ${args.join(' ')} failed\n${stdout ?? ''}${stderr ?? ''}`, { cause: error })
  }
}
