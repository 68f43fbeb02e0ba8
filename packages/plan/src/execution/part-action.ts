import type { ActionContext } from '@varve/kernel'
import { canonicalJson, contentId, type Json } from '@varve/store'
import { z } from 'zod'
import type { ChildNode, MapNode, StateNode, ApprovalNode } from '../definition/node.ts'
import type { PlanDefinition } from '../definition/plan.ts'
import { PlanError } from '../errors.ts'
import type { Provenance } from '../manifest/provenance.ts'
import { openNames } from '../manifest/named-secrets.ts'
import { prepareRun } from '../manifest/prepare-run.ts'
import type { EntriesResult, Given, ItemsResult, ListEntry, PartRequest, StateResult } from '../schedule/requests.ts'
import { LIST, listEntries, needValues } from './need-values.ts'

type Part<K extends PartRequest['part']> = Extract<PartRequest, { part: K }>

/** The handler of what the engine does for a state besides running its code. */
export function partAction(plan: PlanDefinition, node: StateNode, provenance: () => Promise<Provenance>) {
  return async (request: PartRequest, ctx: ActionContext): Promise<unknown> => {
    const { artifacts } = ctx
    switch (request.part) {
      case 'items':
        return listItems(plan, node as MapNode, request, ctx)
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
        return stretchOf(request, ctx)
      case 'adopt':
        return adopt(request, ctx)
    }
  }
}

async function given(plan: PlanDefinition, node: StateNode, { needs, params }: Given, { artifacts }: ActionContext) {
  const values = await needValues(plan.graph, node.edges, needs, artifacts)
  return { needs: values, params: params === undefined ? undefined : openNames(params) } as never
}

/** Items up to this size stand in the log themselves. */
const INLINE_BYTES = 1024
/** A stretch of a list ends behind the item that brings it to so many bytes, or to so many items. */
const STRETCH_BYTES = 128 * 1024
const STRETCH_ITEMS = 1000
const STRETCH_ENTRIES = 500

/** The kernel takes no others as part of a key. */
const itemKey = z
  .string()
  .max(100)
  .regex(/^\P{Cc}+$/u)

async function listItems(
  plan: PlanDefinition,
  node: MapNode,
  request: Part<'items'>,
  ctx: ActionContext,
): Promise<ItemsResult> {
  const list = (await node.items(await given(plan, node, request, ctx))) as readonly Json[]
  const keys = keysOf(node, list)
  const items: ItemsResult['items'][number][] = []
  let bytes = 0
  let at = request.from
  for (; at < list.length && items.length < STRETCH_ITEMS && bytes < STRETCH_BYTES; at++) {
    const key = keys[at] as string
    const text = canonicalJson(list[at] ?? null, { name: `item ${key} of state ${node.id}` })
    const isSmall = Buffer.byteLength(text) <= INLINE_BYTES
    const value = list[at] ?? null
    items.push({ key, ...(isSmall ? { value } : { artifact: await ctx.artifacts.putJson(value) }) })
    bytes += (isSmall ? text.length : 200) + key.length
  }
  const next = at < list.length && { next: at }
  return { items, ...next, ...((next || request.from > 0) && { keys: contentId(canonicalJson(keys)) }) }
}

function keysOf({ id, key }: MapNode, list: readonly Json[]): readonly string[] {
  if (!Array.isArray(list))
    throw new PlanError('OUTPUT_INVALID', `the items of state ${id} are no list; return an array`)
  const seen = new Set<string>()
  // A list may have holes.
  return Array.from(list, (item, i) => {
    const name: unknown = key(item as never, i)
    if (!itemKey.safeParse(name).success) {
      throw new PlanError(
        'OUTPUT_INVALID',
        `the key of item ${i} of state ${id} must be text of 1-100 characters without control characters`,
      )
    }
    if (seen.has(name as string)) {
      const text = `two items of state ${id} have the key ${JSON.stringify(name)}; give each its own`
      throw new PlanError('DUPLICATE_ITEM', text, { details: { state: id, index: i } })
    }
    seen.add(name as string)
    return name as string
  })
}

async function putList(entries: readonly ListEntry[], { artifacts }: ActionContext) {
  return artifacts.put(canonicalJson(entries), { mediaType: LIST })
}

async function question(plan: PlanDefinition, node: ApprovalNode, request: Part<'question'>, ctx: ActionContext) {
  if (node.question === undefined) return null
  return node.question(await given(plan, node, request, ctx))
}

async function record(
  stateId: string,
  { approved, by, comment }: Part<'record'>,
  { artifacts }: ActionContext,
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
  ctx: ActionContext,
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
async function adopt({ output }: Part<'adopt'>, { artifacts }: ActionContext): Promise<StateResult> {
  if (output === null) return { artifact: await artifacts.putJson(null) }
  const stored = await artifacts.get(output)
  for await (const _chunk of stored.stream());
  return { artifact: output }
}

async function stretchOf({ output, from }: Part<'entries'>, { artifacts }: ActionContext): Promise<EntriesResult> {
  const list = await listEntries(output, artifacts)
  const next = from + STRETCH_ENTRIES
  const entries = list.slice(from, next).map((entry) => entry.output)
  return { entries, ...(next < list.length && { next }) }
}
