import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkRules, rules } from './dependency-rules.ts'
import { parseSource, readWorkspace, type Manifest, type WorkspacePackage } from './workspace.ts'

const CONTRACT_TEST = "import { describeStoreContract } from '@varve/store-contract'"

/** A package as the rules see it, blameless unless told otherwise. */
function packageOf(
  name: string,
  manifest: Partial<Manifest> = {},
  sources: Record<string, string> = {},
): WorkspacePackage {
  return {
    folder: `packages/${name}`,
    manifest: { name: `@varve/${name}`, license: 'Apache-2.0', ...manifest },
    hasReadme: true,
    files: Object.entries({ 'src/index.ts': 'export {}', ...sources }).map(([file, text]) => parseSource(file, text)),
  }
}

const dependsOn = (...names: string[]) => ({
  dependencies: Object.fromEntries(names.map((name) => [name, 'workspace:^'])),
})

test('reads the packages of this repository', () => {
  const workspace = readWorkspace(path.join(import.meta.dirname, '..'))

  const store = workspace.find(({ manifest }) => manifest.name === '@varve/store')

  expect(store).toMatchObject({ folder: 'packages/store', hasReadme: true })
  expect(store?.files.map((file) => file.path)).toContain('src/index.ts')
})

describe('accepts', () => {
  test.for([
    [
      'a test of the kernel on a store',
      packageOf(
        'kernel',
        { devDependencies: { '@varve/store-memory': 'workspace:*' } },
        { 'src/run.test.ts': "import { memoryStore } from '@varve/store-memory'" },
      ),
    ],
    [
      'a suite whose runner is a peer',
      packageOf('store-contract', { ...dependsOn('@varve/store'), peerDependencies: { vitest: '>=5' } }),
    ],
    [
      "Node's own modules in the ports",
      packageOf('store', {}, { 'src/hash.ts': "import { createHash } from 'node:crypto'" }),
    ],
    [
      'files that import types from each other',
      packageOf(
        'store',
        {},
        { 'src/a.ts': "import type { B } from './b.ts'", 'src/b.ts': "import { a } from './a.ts'" },
      ),
    ],
    [
      'an adapter with its contract test',
      packageOf('store-memory', dependsOn('@varve/store'), { 'src/memory.contract.test.ts': CONTRACT_TEST }),
    ],
  ] as const)('%s', ([, innocent]) => {
    const violations = checkRules([innocent])

    expect(violations).toEqual([])
  })
})

describe('catches', () => {
  test.for<[keyof typeof rules, string, WorkspacePackage[]]>([
    [
      'engines know no adapter',
      'a kernel that depends on a store',
      [packageOf('kernel', dependsOn('@varve/store-memory'))],
    ],
    [
      'engines know no adapter',
      'a kernel that imports a store',
      [packageOf('kernel', {}, { 'src/run.ts': "import { memoryStore } from '@varve/store-memory'" })],
    ],
    [
      'engines know no adapter',
      'plans that load a store later',
      [packageOf('plan', {}, { 'src/run.ts': "const { sqliteStore } = await import('@varve/store-sqlite')" })],
    ],
    [
      'engines know no adapter',
      'tools for tests that bring a store along',
      [packageOf('testing', dependsOn('@varve/store-memory'))],
    ],
    [
      'adapters know no engine',
      'a store that depends on the kernel',
      [packageOf('store-memory', dependsOn('@varve/kernel'))],
    ],
    [
      'engines know no adapter',
      'plans that depend on where artifacts are kept',
      [packageOf('plan', dependsOn('@varve/artifacts-fs'))],
    ],
    [
      'adapters know no engine',
      'artifacts that know the kernel',
      [packageOf('artifacts-fs', dependsOn('@varve/kernel'))],
    ],
    [
      'adapters know no engine',
      'a test of a store that imports plans',
      [packageOf('store-sqlite', {}, { 'src/a.test.ts': "import type { Plan } from '@varve/plan'" })],
    ],
    [
      'the contract suite depends on the ports only',
      'a suite made for one adapter',
      [packageOf('store-contract', dependsOn('@varve/store', '@varve/store-memory'))],
    ],
    [
      'the contract suite depends on the ports only',
      'a suite that brings its own runner',
      [packageOf('store-contract', dependsOn('vitest'))],
    ],
    ['the ports depend on nothing', 'a dependency', [packageOf('store', dependsOn('zod'))]],
    ['the ports depend on nothing', 'an import', [packageOf('store', {}, { 'src/a.ts': "import { z } from 'zod'" })]],
    [
      'sources import declared dependencies only',
      'a test dependency in a source',
      [packageOf('testing', { devDependencies: { 'fast-check': '1' } }, { 'src/a.ts': "import fc from 'fast-check'" })],
    ],
    [
      'packages stay in their folder',
      'an import by path',
      [packageOf('kernel', {}, { 'src/a.ts': "export { seal } from '../../store/src/seal.ts'" })],
    ],
    [
      'no cycle between packages',
      'a cycle through tests',
      [packageOf('a', dependsOn('@varve/b')), packageOf('b', { devDependencies: { '@varve/a': 'workspace:*' } })],
    ],
    [
      'no cycle between files',
      'a cycle of three',
      [
        packageOf(
          'a',
          {},
          {
            'src/a.ts': "import './b.ts'",
            'src/b.ts': "export { c } from './c.ts'",
            'src/c.ts': "import { type A, a } from './a.ts'",
          },
        ),
      ],
    ],
    [
      'packages depend on ranges',
      'one version of a package of ours',
      [packageOf('worker', { dependencies: { '@varve/kernel': 'workspace:*' } })],
    ],
    [
      'packages depend on ranges',
      "one version of somebody else's",
      [packageOf('worker', { dependencies: { croner: '11.0.1' } })],
    ],
    ['every adapter runs the contract suite', 'an adapter without', [packageOf('store-redis')]],
    ['every adapter runs the contract suite', 'artifacts without', [packageOf('artifacts-s3')]],
    [
      'every adapter runs the contract suite',
      'an adapter with a suite of its own',
      [packageOf('store-redis', {}, { 'src/a.contract.test.ts': "import { test } from 'vitest'" })],
    ],
    ['every package says what it is', 'a missing README', [{ ...packageOf('a'), hasReadme: false }]],
    [
      'a public index is a short list of names',
      'an export of everything',
      [packageOf('a', {}, { 'src/index.ts': "export * from './a.ts'" })],
    ],
    [
      'a public index is a short list of names',
      'too many names',
      [
        packageOf(
          'a',
          {},
          { 'src/index.ts': Array.from({ length: 36 }, (_, index) => `export const name${index} = 1`).join('\n') },
        ),
      ],
    ],
  ])('%s: %s', ([rule, , culprits]) => {
    const violations = rules[rule](culprits)

    expect(violations).toHaveLength(1)
  })

  test('a package without a license', () => {
    const { license: _, ...manifest } = packageOf('a').manifest

    const violations = rules['every package says what it is']([{ ...packageOf('a'), manifest }])

    expect(violations).toEqual(['packages/a: has no license'])
  })
})
