import { ActionError } from '@varve/kernel'
import { isPlanError, type Engine } from '@varve/plan'
import { withRemedy } from '../terminal/told-error.ts'
import { REMEDIES } from './failure.ts'
import { stateName } from './tables.ts'

/**
 * Checks a run and says what is wrong with it; makes damaged artifacts again, if that is wanted.
 *
 * @returns true when nothing is wrong any more.
 */
export async function verifyReport(engine: Engine, runId: string, remake: boolean): Promise<boolean> {
  const found = await engine.verify(runId)
  for (const { key, artifact } of found.damaged) console.log(`Damaged    ${stateName(key)}, ${artifact}`)
  // In the order of the log: what a state is made from comes before it.
  for (const { key } of remake ? found.damaged : []) console.log(await remakeOne(engine, runId, key))
  const { ok, log, problem, damaged } = remake && found.damaged.length > 0 ? await engine.verify(runId) : found
  if (problem !== undefined) console.log(`Unchecked  ${problem.code}: ${problem.message}`)
  if (log?.ok === false) console.log(`Log        ${log.code}: ${log.message}`)
  const { head } = await engine.kernel.get(runId)
  const advice = remake ? '' : '; make them again with --remake'
  const artifacts = damaged.length === 0 ? 'every artifact is whole' : `damaged artifacts: ${damaged.length}${advice}`
  console.log(`Verified   ${runId}, ${head} events, ${artifacts}`)
  return ok
}

async function remakeOne(engine: Engine, runId: string, key: string): Promise<string> {
  try {
    const { remade } = await engine.remake(runId, key)
    return `${remade ? 'Remade    ' : 'Whole     '} ${stateName(key)}`
  } catch (error) {
    // A state whose code fails now, as one does that reads a file which is gone.
    if (!isPlanError(error) && !(error instanceof ActionError)) throw error
    return `Not remade ${stateName(key)}: ${withRemedy(error, REMEDIES)}`
  }
}
