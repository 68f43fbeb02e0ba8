import type { Engine, Explanation } from '@varve/plan'
import path from 'node:path'
import type { PublishedReport } from '../report/publications.ts'
import { reasonsTable, statesTable, timelineTable } from './tables.ts'

/** What is told of a run that has ended. */
export interface Ending {
  /** Undefined when the editor said no. */
  readonly published: PublishedReport | undefined
  /** Where everything lies. */
  readonly folder: string
  /** Say why each state did or did not run. */
  readonly explain: boolean
}

/** Prints what happened, whose results the states have, and where the report lies. */
export async function printEnd(engine: Engine, runId: string, { published, folder, explain }: Ending): Promise<void> {
  const timeline = await engine.kernel.timeline(runId)
  const explanations = await explainAll(engine, runId)
  console.log(`\n${timelineTable(timeline)}\n`)
  console.log(`${explain ? reasonsTable(explanations) : statesTable(explanations)}\n`)
  if (published === undefined) {
    console.log('Rejected   nothing was published')
  } else {
    const bytes = published.bytes.toLocaleString('en-US')
    console.log(`Published  ${path.join(folder, 'report.html')} (${bytes} bytes), kept as published/${published.name}`)
  }
  console.log(`Reused     ${reuseOf(explanations)}`)
  const status = published === undefined ? 'rejected' : timeline.status
  console.log(`Run        ${runId}, ${status}, ${timeline.head} events`)
  console.log(`Head hash  ${timeline.hash}`)
}

async function explainAll(engine: Engine, runId: string): Promise<readonly Explanation[]> {
  const { states } = await engine.status(runId)
  const each = await Promise.all(states.map(async ({ id }) => explainOne(engine, runId, id)))
  return each.flat()
}

/** Of a map its items say it all, and of other states their last execution does. */
async function explainOne(engine: Engine, runId: string, stateId: string): Promise<readonly Explanation[]> {
  const explanations = await engine.explain(runId, stateId)
  const items = explanations.filter(({ key }) => key.includes(':item:'))
  return items.length > 0 ? items : explanations.filter(({ key }) => key === stateId)
}

/** Counts results; what asks a person or reaches outside is never another run's. */
function reuseOf(explanations: readonly Explanation[]): string {
  const cached = explanations.filter(({ status }) => status === 'cached')
  const runs = new Set(cached.flatMap(({ comparedWith }) => comparedWith?.runId ?? []))
  const from = runs.size === 0 ? '' : `, from ${[...runs].sort().join(', ')}`
  return `${cached.length} of ${explanations.length} results${from}`
}
