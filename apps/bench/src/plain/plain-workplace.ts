import { machineMs } from '../workers/machine-time.ts'
import type { WorkListener, Workplace } from '../workers/workplace.ts'
import type { PlainDatabase } from './plain-database.ts'
import { openRun } from './resume.ts'
import { driveSteps } from './sequence.ts'

/** An idle program without Varve that takes up every run of one step that it hears of: as a worker does, in this process. */
export function plainWorkplace(database: PlainDatabase): Workplace {
  let listener: WorkListener = {}
  let leave = async (): Promise<void> => undefined
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => undefined)

  const takeUp = async (runId: string): Promise<void> => {
    const run = await openRun(database, runId, { sealed: true })
    listener.entered?.(machineMs())
    await driveSteps((append) => database.commit([append]), run, 1)
    listener.ended?.(machineMs())
  }
  const rest = async (): Promise<Record<string, never>> => {
    await leave()
    leave = async () => undefined
    return {}
  }
  return {
    lost: lost.promise,
    listen: (given) => {
      listener = given
    },
    begin: async () => {
      leave = await database.listen((runId) => void takeUp(runId).catch(lost.reject))
    },
    rest,
    [Symbol.asyncDispose]: async () => {
      await rest()
    },
  }
}
