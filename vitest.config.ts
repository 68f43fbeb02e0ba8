import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** Workspace packages resolve to their sources, so that tests need no build. */
const conditions = ['@varve/source', 'module', 'node', 'development|production']

const folders = ['packages', 'apps'].flatMap((parent) =>
  readdirSync(parent)
    .map((name) => ({ name, root: `${parent}/${name}` }))
    .filter(({ root }) => existsSync(`${root}/package.json`)),
)

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // Much of the time goes into waiting for databases and processes: two workers keep two cores busy.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // A bound for what hangs, not for what is slow: other tests, databases and processes share the cores.
    testTimeout: 30_000,
    hookTimeout: 60_000,
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
        test: { name, root, include: ['src/**/*.test.ts'] },
      })),
      { extends: true as const, test: { name: 'repository', include: ['{scripts,test}/**/*.test.ts'] } },
    ],
  },
})
