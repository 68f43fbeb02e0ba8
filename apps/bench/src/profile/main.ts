import { CommanderError } from 'commander'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { openSite } from '../sites/open-site.ts'
import type { SiteName } from '../sites/site.ts'
import { readProfileArguments, type ProfileArguments } from './arguments.ts'
import { callTree } from './call-tree.ts'
import { flameSvg } from './flame-svg.ts'
import { foldProfile } from './fold-profile.ts'
import { PROFILED_RUNS, profileSteps } from './profile-steps.ts'
import { profileTree } from './profile-tree.ts'

// As it runs where it matters; otherwise states are frozen, so that tests find out who changes them.
process.env['NODE_ENV'] ??= 'production'

try {
  const { stores, ...given } = readProfileArguments(process.argv.slice(2))
  for (const store of stores) await profileStore(store, given)
} catch (error) {
  if (!(error instanceof CommanderError)) {
    console.error(process.env['DEBUG'] === 'varve' ? error : `error: ${(error as Error).message}`)
  }
  // Whoever asks for help gets it, and that is no failure.
  process.exitCode = error instanceof CommanderError ? error.exitCode : 1
}

async function profileStore(name: SiteName, { steps, least, out }: Omit<ProfileArguments, 'stores'>): Promise<void> {
  const site = await openSite(name)
  try {
    const profile = await profileSteps(site.store, steps)
    const folded = foldProfile(profile)
    const { busyUs, idleUs } = folded
    const perStep = (us: number): string => `${(us / steps / PROFILED_RUNS).toFixed(0)} us`
    console.log(
      `${name}: ${perStep(busyUs)} for each of ${PROFILED_RUNS} x ${steps} steps, and ${perStep(idleUs)} of waiting`,
    )
    console.log(`${profileTree(folded, least)}\n`)
    if (out === undefined) return
    mkdirSync(out, { recursive: true })
    writeFileSync(path.join(out, `${name}.cpuprofile`), JSON.stringify(profile))
    writeFileSync(path.join(out, `${name}.svg`), flameSvg(callTree(profile), `W1 steps, ${name}`))
  } finally {
    await site.close()
  }
}
