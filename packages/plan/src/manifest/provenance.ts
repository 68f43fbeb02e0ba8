import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { createHash } from 'node:crypto'
import { access } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { z } from 'zod'

/** What is known of the build that started a run; null for what is not. */
export interface Provenance {
  readonly gitCommit: string | null
  /** Hex sha256 of the nearest lockfile. */
  readonly lockfileHash: string | null
  /** Such as `24.1.0`. */
  readonly nodeVersion: string | null
  /** Such as `linux-x64`. */
  readonly platform: string | null
}

/** A {@link Provenance}. */
export const provenanceSchema = z.strictObject({
  gitCommit: z.string().nullable(),
  lockfileHash: z.string().nullable(),
  nodeVersion: z.string().nullable(),
  platform: z.string().nullable(),
}) satisfies z.ZodType<Provenance>

const LOCKFILES = ['pnpm-lock.yaml', 'package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'bun.lock']

/** Finds out what is known of the build in a folder. Never throws: what cannot be known is null. */
export async function provenanceOf(folder: string): Promise<Provenance> {
  const [gitCommit, lockfileHash] = await Promise.all([commitOf(folder), lockfileHashOf(folder)])
  return {
    gitCommit,
    lockfileHash,
    nodeVersion: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  }
}

async function commitOf(folder: string): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', ['rev-parse', 'HEAD'], { cwd: folder, timeout: 5000 })
    const commit = stdout.trim()
    return /^[0-9a-f]{40,64}$/.test(commit) ? commit : null
  } catch {
    return null
  }
}

async function lockfileHashOf(folder: string): Promise<string | null> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    for (const name of LOCKFILES) {
      const file = path.join(at, name)
      if (await exists(file)) return hashOf(file)
    }
    if (path.dirname(at) === at) return null
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

async function hashOf(file: string): Promise<string | null> {
  try {
    const hash = createHash('sha256')
    await pipeline(createReadStream(file), hash)
    return hash.digest('hex')
  } catch {
    return null
  }
}
