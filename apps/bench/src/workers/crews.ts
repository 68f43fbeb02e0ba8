import type { Program } from '../rounds/program.ts'
import type { Site } from '../sites/site.ts'
import { totalOf } from './call-counts.ts'
import { timeDispatched } from './dispatch.ts'
import { workerProcess } from './worker-process.ts'
import { ownWorkplace, type Workplace } from './workplace.ts'

/** Those who work on the runs of a store, in one number or the other. */
export interface Crews {
  /** Ways to have so many runs driven by workers. */
  readonly programs: (runs: number) => readonly Program[]
  readonly close: () => Promise<void>
}

/** One and two processes; for a store that no other process can open, a worker in this one. */
export async function crewsOf({ store, location }: Site): Promise<Crews> {
  const all: readonly Workplace[] =
    location === undefined
      ? [ownWorkplace(store)]
      : await Promise.all([workerProcess(location), workerProcess(location)])
  const crews = all.map((_, at) => all.slice(0, at + 1))
  const program = (crew: readonly Workplace[], runs: number, enqueued: 'before' | 'meanwhile'): Program => ({
    name: `varve, ${crew.length} ${crew.length === 1 ? 'worker' : 'workers'}${enqueued === 'before' ? '' : ', enqueued meanwhile'}`,
    measure: async () => {
      const { ms, calls } = await timeDispatched(store, crew, { runs, enqueued })
      return { 'runs/s': (runs / ms) * 1000, 'calls/run': totalOf(calls) / runs }
    },
  })
  return {
    programs: (runs) => crews.flatMap((crew) => [program(crew, runs, 'before'), program(crew, runs, 'meanwhile')]),
    close: async () => {
      for (const workplace of all) await workplace[Symbol.asyncDispose]()
    },
  }
}
