import type { ActionContext, ArtifactRef } from '@varve/kernel'
import { canonicalJson } from '@varve/store'
import type { ChildNode, MapNode, StateNode, ApprovalNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import type { Provenance } from '../manifest/provenance.ts'
import { openNames } from '../manifest/named-secrets.ts'
import { prepareRun } from '../manifest/prepare-run.ts'
import type { EntriesResult, Given, ListEntry, PartRequest, StateResult } from '../schedule/requests.ts'
import { listItems, listStretch } from './map-list.ts'
import { LIST, listEntries, needValues } from './need-values.ts'

/** What the engine's own part of a state works with. */
export type PartContext = Pick<ActionContext, 'artifacts'>

type Part<K extends PartRequest['part']> = Extract<PartRequest, { part: K }>

/** The handler of what the engine does for a state besides running its code. */
export function partAction(plan: PlanDefinition, node: StateNode, provenance: () => Promise<Provenance>) {
  return async (request: PartRequest, ctx: PartContext): Promise<unknown> => {
    const { artifacts } = ctx
    switch (request.part) {
      case 'items':
        return items(plan, node as MapNode, request, ctx)
      case 'stretch':
        return listStretch(request.stretch, artifacts)
      case 'page':
      case 'collect':
        return { artifact: await putList(request.entries, ctx) }
      case 'join': {
        const pages = await Promise.all(request.pages.map(async (page) => listEntries(page, artifacts)))
        return { artifact: await putList(pages.flat(), ctx) }
      }
      case 'question':
        return question(plan, node as ApprovalNode, request, ctx)
      case 'record':
        return record(node.id, request, ctx)
      case 'start':
        return start(plan, node as ChildNode, request, ctx, provenance)
      case 'entries':
        return 'output' in request ? entriesOf(request.output, ctx) : namedEntries(request.stretch, ctx)
      case 'adopt':
        return adopt(request, ctx)
    }
  }
}

async function given(plan: PlanDefinition, node: StateNode, { needs, params }: Given, { artifacts }: PartContext) {
  const values = await needValues(plan.graph, node.edges, needs, artifacts)
  return { needs: values, params: params === undefined ? undefined : openNames(params) } as never
}

/** A tenth less than an event may refer to: a fork takes them over in one event with what was asked for. */
const STRETCH_ENTRIES = 900

async function items(plan: PlanDefinition, node: MapNode, request: Part<'items'>, ctx: PartContext) {
  return listItems(node, await node.items(await given(plan, node, request, ctx)), ctx.artifacts)
}

async function putList(entries: readonly ListEntry[], { artifacts }: PartContext) {
  return artifacts.put(canonicalJson(entries), { mediaType: LIST })
}

async function question(plan: PlanDefinition, node: ApprovalNode, request: Part<'question'>, ctx: PartContext) {
  if (node.question === undefined) return null
  return node.question(await given(plan, node, request, ctx))
}

async function record(
  stateId: string,
  { approved, by, comment }: Part<'record'>,
  { artifacts }: PartContext,
): Promise<StateResult> {
  if (!approved) {
    const who = by === undefined ? '' : ` by ${by}`
    const why = comment === undefined ? '' : `: ${comment}`
    throw new PlanError('APPROVAL_REFUSED', `state ${stateId} was refused${who}${why}`)
  }
  const answer = { ...(by !== undefined && { by }), ...(comment !== undefined && { comment }) }
  return { artifact: await artifacts.putJson(answer) }
}

async function start(
  plan: PlanDefinition,
  node: ChildNode,
  request: Part<'start'>,
  ctx: PartContext,
  provenance: () => Promise<Provenance>,
) {
  const { config, depth } = request
  if (depth + 1 > config.maxDepth) {
    const text = `state ${node.id} would start a child plan at depth ${depth + 1}, ${config.maxDepth} is allowed`
    throw new PlanError('TOO_DEEP', `${text}; raise maxDepth, or end the recursion`)
  }
  const params = await node.childParams(await given(plan, node, request, ctx))
  const prepared = prepareRun(node.plan.definition, { given: params }, config, await provenance())
  return prepared.input(await ctx.artifacts.putJson(prepared.manifest), depth + 1)
}

/** Reads all of it: from here on this run vouches for it. */
async function adopt({ output }: Part<'adopt'>, { artifacts }: PartContext): Promise<StateResult> {
  if (output === null) return { artifact: await artifacts.putJson(null) }
  const stored = await artifacts.get(output)
  for await (const _chunk of stored.stream());
  return { artifact: output }
}

/** The list is read once: a long one is kept again as stretches, each of which is read when it is its turn. */
async function entriesOf(list: ArtifactRef, { artifacts }: PartContext): Promise<EntriesResult> {
  const entries = (await listEntries(list, artifacts)).map(({ output }) => output)
  if (entries.length <= STRETCH_ENTRIES) return { entries }
  const stretches: ArtifactRef[] = []
  for (let from = 0; from < entries.length; from += STRETCH_ENTRIES) {
    stretches.push(await artifacts.putJson(entries.slice(from, from + STRETCH_ENTRIES)))
  }
  return { entries: [], stretches }
}

async function namedEntries(stretch: ArtifactRef, { artifacts }: PartContext): Promise<EntriesResult> {
  return { entries: (await artifacts.json(stretch)) as unknown as readonly ArtifactRef[] }
}
