import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { KernelModule } from './family.ts'

/** One deliberate fault in the kernel's source. */
export interface Mutation {
  /** Path of the file below the kernel's `src`. */
  readonly file: string
  /** Text that stands in the file exactly once. */
  readonly find: string
  readonly replace: string
}

/**
 * Loads a copy of the kernel with a fault in it. The copy lies beside the real one, so that it finds the same packages.
 *
 * @throws when the text to replace is not there exactly once: the mutant would be no mutant.
 */
export async function loadMutant(name: string, mutation: Mutation): Promise<KernelModule> {
  const root = path.dirname(createRequire(import.meta.url).resolve('@varve/kernel/package.json'))
  const copy = path.join(root, '.cache', 'mutants', `${name}-${process.pid}`)
  cpSync(path.join(root, 'src'), copy, { recursive: true, filter: (file) => !file.endsWith('.test.ts') })
  try {
    const file = path.join(copy, mutation.file)
    const [before, after, ...more] = readFileSync(file, 'utf8').split(mutation.find)
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error(`${mutation.file} does not hold exactly once: ${mutation.find}`)
    }
    writeFileSync(file, before + mutation.replace + after)
    return (await import(pathToFileURL(path.join(copy, 'index.ts')).href)) as KernelModule
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
