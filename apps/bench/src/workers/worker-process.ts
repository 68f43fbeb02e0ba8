import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { StoreLocation } from '../sites/store-location.ts'
import type { CallCounts } from './call-counts.ts'
import type { WorkListener, Workplace } from './workplace.ts'

/** What a worker process is told to do. */
export type ToWorker = 'begin' | 'rest'

/** What a worker process tells of itself. */
export type FromWorker =
  | { readonly told: 'ready' | 'began' }
  | { readonly told: 'entered' | 'ended'; readonly at: number }
  | { readonly told: 'rests'; readonly calls: CallCounts }

const program = fileURLToPath(new URL('./worker-program.ts', import.meta.url))

/** Starts a process that works on the runs of a store; or of a plain program's database, as a plain program. */
export async function workerProcess(location: StoreLocation, kind: 'varve' | 'plain' = 'varve'): Promise<Workplace> {
  const child = fork(program, [JSON.stringify(location), kind], { execArgv: ['--conditions=@varve/source'] })
  const lost = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      reject(new Error(`a worker process has ended with ${signal ?? code}; what it said is above`))
    })
  })
  // Whoever waits for something hears of it; its end after the last measure is nobody's loss.
  lost.catch(() => undefined)
  let listener: WorkListener = {}
  const answers = new Map<FromWorker['told'], (message: FromWorker) => void>()
  child.on('message', (message: FromWorker) => {
    if (message.told === 'entered' || message.told === 'ended') listener[message.told]?.(message.at)
    else answers.get(message.told)?.(message)
  })
  const answer = (told: FromWorker['told']): Promise<FromWorker> =>
    Promise.race([new Promise<FromWorker>((resolve) => answers.set(told, resolve)), lost])
  await answer('ready')
  return {
    lost,
    listen: (given) => {
      listener = given
    },
    begin: async () => {
      child.send('begin' satisfies ToWorker)
      await answer('began')
    },
    rest: async () => {
      child.send('rest' satisfies ToWorker)
      const message = await answer('rests')
      return message.told === 'rests' ? message.calls : {}
    },
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect()
      await lost.catch(() => undefined)
    },
  }
}
