import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { SiteName } from '../sites/site.ts'
import type { StoreWorkloadName } from '../workloads/workloads.ts'
import type { Amounts, Figures, Prepared } from './program.ts'

/** What a host is told to do. */
export interface ToHost {
  /** Position of the program. */
  readonly measure: number
}

/** What a host tells of itself. */
export type FromHost =
  | { readonly told: 'ready'; readonly programs: readonly string[] }
  | { readonly told: 'measured'; readonly figures: Figures }
  | { readonly told: 'failed'; readonly message: string }

/** What is measured in another process, and how it is started. */
export interface HostOptions {
  readonly workload: StoreWorkloadName
  readonly site: SiteName
  readonly amounts: Amounts
  /** Of its environment, besides ours. */
  readonly env?: NodeJS.ProcessEnv
  /** What runs Node, with its arguments before Node's; Node itself unless given. */
  readonly wrapper?: readonly [file: string, ...args: string[]]
}

const program = fileURLToPath(new URL('./program-host.ts', import.meta.url))

/** The programs of a workload in a process of their own. */
export async function hostedPrograms({ workload, site, amounts, env, wrapper }: HostOptions): Promise<Prepared> {
  const [file = process.execPath, ...before] = wrapper === undefined ? [] : [...wrapper, process.execPath]
  const child = fork(program, [workload, site, JSON.stringify(amounts)], {
    ...{ execPath: file, execArgv: [...before, '--conditions=@varve/source'] },
    env: { ...process.env, ...env },
  })
  const exited = once(child, 'exit')
  const ready = await answerOf(child)
  return {
    programs: (ready.told === 'ready' ? ready.programs : []).map((name, measure) => ({
      name,
      measure: async () => {
        child.send({ measure } satisfies ToHost)
        const answer = await answerOf(child)
        return answer.told === 'measured' ? answer.figures : {}
      },
    })),
    close: async () => {
      child.disconnect()
      await exited
    },
  }
}

/** The next thing that it says. */
function answerOf(child: ChildProcess): Promise<FromHost> {
  return new Promise((resolve, reject) => {
    const lost = (code: unknown): void => reject(new Error(`a process that measures has ended with ${String(code)}`))
    child.once('exit', lost)
    child.once('message', (message: FromHost) => {
      child.removeListener('exit', lost)
      if (message.told === 'failed') reject(new Error(message.message))
      else resolve(message)
    })
  })
}
