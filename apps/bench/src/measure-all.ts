import type { Arguments } from './arguments.ts'
import { hostedPrograms } from './rounds/hosted-programs.ts'
import { measureRounds, type Place, type Sample } from './rounds/measure-rounds.ts'
import type { Workload } from './rounds/program.ts'
import { openSite } from './sites/open-site.ts'
import { postgresSite } from './sites/postgres-site.ts'
import { slowNames, type Site, type SiteName, type SlowName } from './sites/site.ts'
import { buildSlowFlush } from './slow-disk/slow-flush.ts'
import { artifacts } from './workloads/artifacts.ts'
import { slowWorkloads, storeWorkload, type StoreWorkloadName, type WorkloadName } from './workloads/workloads.ts'

/** All that was measured, and why something was not. */
export interface Measured {
  readonly samples: readonly Sample[]
  readonly leftOut: readonly string[]
}

/** Measures one workload after the other, each on all stores in turns. */
export async function measureAll(given: Arguments, progress: (text: string) => void): Promise<Measured> {
  const { workloads, rounds, amounts } = given
  const samples: Sample[] = []
  const { placesFor, leftOut, close } = await openPlaces(given)
  try {
    for (const name of workloads) {
      const { title, warmUps = 1 }: Pick<Workload, 'title' | 'warmUps'> =
        name === 'artifacts' ? artifacts : storeWorkload(name)
      const places = name === 'artifacts' ? [artifactsPlace(amounts)] : placesFor(name)
      samples.push(...(await measureRounds(places, { workload: title, rounds, warmUps, progress })))
    }
    return { samples, leftOut }
  } finally {
    await close()
  }
}

interface Places {
  readonly placesFor: (workload: StoreWorkloadName) => readonly Place[]
  readonly leftOut: readonly string[]
  readonly close: () => Promise<void>
}

/** Opens the stores that something is measured on. */
async function openPlaces({ workloads, stores, amounts }: Arguments): Promise<Places> {
  const sites = new Map<SiteName | SlowName, Site>()
  const isSlow = (name: SiteName | SlowName): name is SlowName => slowNames.some((slow) => slow === name)
  const wanted = stores.filter((name) => workloads.some(isSlow(name) ? isOnSlowDisk : isOnStore))
  const slowFlush = wanted.some(isSlow) ? buildSlowFlush() : undefined
  const library = typeof slowFlush === 'object' ? slowFlush.library : undefined
  const close = async (): Promise<void> => {
    for (const site of sites.values()) await site.close()
    if (typeof slowFlush === 'object') slowFlush.remove()
  }
  const opened = wanted.filter((name) => !isSlow(name) || library !== undefined)
  try {
    for (const name of opened) {
      // SQLite flushes in the process that uses it: that one is started for each workload.
      if (name === 'postgres-slow') sites.set(name, await postgresSite(library))
      else if (!isSlow(name)) sites.set(name, await openSite(name))
    }
  } catch (error) {
    await close()
    throw error
  }
  const placeFor = (name: SiteName | SlowName, workload: StoreWorkloadName): Place => {
    const site = sites.get(name)
    const env = { LD_PRELOAD: library }
    return {
      name,
      prepare: () =>
        site === undefined
          ? hostedPrograms({ workload, site: 'sqlite-full', amounts, env })
          : storeWorkload(workload).prepare(site, amounts),
    }
  }
  return {
    placesFor: (workload) =>
      opened.filter((name) => !isSlow(name) || isOnSlowDisk(workload)).map((name) => placeFor(name, workload)),
    leftOut: typeof slowFlush === 'string' ? wanted.filter(isSlow).map((name) => `${name}: ${slowFlush}`) : [],
    close,
  }
}

function isOnStore(workload: WorkloadName): boolean {
  return workload !== 'artifacts'
}

function isOnSlowDisk(workload: WorkloadName): boolean {
  return slowWorkloads.includes(workload)
}

function artifactsPlace(amounts: Arguments['amounts']): Place {
  return { name: 'artifacts-fs', prepare: () => artifacts.prepare(amounts) }
}
