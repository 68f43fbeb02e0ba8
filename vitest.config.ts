import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { startingPrograms } from './test/bundles/global-setup.ts'

/** Workspace packages resolve to their sources, so that tests need no build. */
const conditions = ['@varve/source', 'module', 'node', 'development|production']

/**
 * Packages whose test files share two processes: loading what they import anew for each file takes longer than most of them
 * do. The others start processes, block or kill them, or measure.
 */
const sharing = ['kernel', 'plan', 'store', 'store-kysely', 'store-memory', 'store-postgres', 'store-sqlite']

const folders = ['packages', 'apps'].flatMap((parent) =>
  readdirSync(parent)
    .map((name) => ({ name, root: `${parent}/${name}` }))
    .filter(({ root }) => existsSync(`${root}/package.json`)),
)

const bundles = path.join(import.meta.dirname, 'test/bundles/global-setup.ts')

/** The files that take longest, by what their paths end in, longest first. */
const longest = [
  'flight-report/src/main',
  'crash/on-databases',
  'seams/family',
  'seams/on-postgres',
  'store-memory/src/contract-mutants',
  'stored-statements',
  'postgres-store.contract',
  'seams/approval',
  'seams/race',
  'test/readme',
  'chaos/chaos',
  'seams/on-sqlite',
  'seams/sigkill',
  'seams/kernel-mutants',
  'bench/src/main',
  'crash/on-memory',
].map((name) => `${name}.test.ts`)

/** Begins with what takes longest, so that no process is left alone with it at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = longest.findIndex((name) => moduleId.endsWith(name))
      return found === -1 ? longest.length : found
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

const isShuffled = process.argv.some((argument) => argument.startsWith('--sequence'))

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // Much of the time goes into waiting for databases and processes: two workers keep two cores busy.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // A bound for what hangs, not for what is slow: other tests, databases and processes share the cores.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Tests start hundreds of processes that load the same sources: each is compiled once.
    env: { NODE_COMPILE_CACHE: path.join(import.meta.dirname, '.cache', 'compiled') },
    // Files that share a process leave nothing behind in it.
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
    ...(isShuffled ? {} : { sequence: { sequencer: LongestFirst } }),
    globalSetup: ['./test/postgres/global-setup.ts'],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**'],
      exclude: ['**/*.test.ts'],
      reportsDirectory: 'coverage',
    },
    projects: [
      ...folders.map(({ name, root }) => ({
        extends: true as const,
        test: {
          ...{ name, root, include: ['src/**/*.test.ts'], isolate: !sharing.includes(name) },
          globalSetup: startingPrograms.includes(name) ? [bundles] : [],
        },
      })),
      { extends: true as const, test: { name: 'repository', include: ['{scripts,test}/**/*.test.ts'] } },
    ],
  },
})
