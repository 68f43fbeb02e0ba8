import { build, type Plugin } from 'esbuild'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /**
     * The program that the tests of a project start: with all that it imports made of its sources into one file, as they start it
     * many times, and the hundreds of files that it is made of take half a second to load.
     */
    readonly program: string
  }
}

/** The programs, by the projects whose tests start them. */
const programs: Readonly<Record<string, string>> = {
  'flight-report': 'apps/flight-report/src/main.ts',
  testing: 'packages/testing/src/seams/victim.ts',
  worker: 'packages/worker/src/testing/worker-process.ts',
}

/** Projects whose tests start a program. */
export const startingPrograms: readonly string[] = Object.keys(programs)

/** Provides `program`, from the sources as they are now. */
export default async function bundleProgram(project: TestProject): Promise<void> {
  const source = programs[project.name]
  if (source === undefined) throw new Error(`the tests of ${project.name} start no program`)
  const root = path.join(import.meta.dirname, '../..')
  // Beside its package, whose dependencies it finds by their names.
  const outdir = path.join(root, source.replace(/src\/.*/, '.cache/program'))
  await build({
    entryPoints: [path.join(root, source)],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    conditions: ['@varve/source'],
    // pg asks for it only where it is there.
    external: ['pg-native'],
    plugins: [besideItsBinary],
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url)",
    },
    logLevel: 'error',
  })
  project.provide('program', path.join(outdir, `${path.basename(source, '.ts')}.mjs`))
}

/** The driver of SQLite stays where it is: it looks for its binary beside itself. */
const besideItsBinary: Plugin = {
  name: 'beside-its-binary',
  setup: (bundling) => {
    bundling.onResolve({ filter: /^better-sqlite3$/ }, ({ path: name, importer }) => ({
      path: createRequire(importer).resolve(name),
      external: true,
    }))
  },
}
