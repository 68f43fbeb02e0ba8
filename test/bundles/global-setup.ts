import { build, type Plugin } from 'esbuild'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The example program, made of one file: tests start it hundreds of times, and a thousand files take half a second to load. */
    readonly flightReport: string
  }
}

const app = path.join(import.meta.dirname, '../../apps/flight-report')

/** Provides `flightReport`: what `npm start` runs, with all that it imports, from the sources as they are now. */
export default async function bundlePrograms(project: TestProject): Promise<void> {
  const outdir = path.join(app, '.cache', 'bundle')
  await build({
    entryPoints: [path.join(app, 'src/main.ts')],
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
  project.provide('flightReport', path.join(outdir, 'main.mjs'))
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
