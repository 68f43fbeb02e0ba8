import type { Schema } from '@varve/kernel'
import { canonicalJson, sha256 } from '@varve/store'
import { z } from 'zod'
import type { Graph } from '../definition/graph.ts'
import type { Edge } from '../definition/need.ts'
import type { StateNode } from '../definition/node.ts'
import { isBytes, type OutputSpec } from '../definition/output.ts'

/** A state as a manifest has it: all that decides what it does, and nothing else. */
export interface ManifestState {
  readonly id: string
  readonly kind: StateNode['kind']
  readonly version: string
  /** Ids of what it depends on: by the name it is seen under, and what only comes first. */
  readonly needs: Readonly<Record<string, ManifestNeed>>
  readonly after: readonly string[]
  readonly effect: StateNode['effect']
  readonly cache: boolean
  readonly tags: readonly string[]
  readonly environment: readonly string[]
  /**
   * Hex sha256 of the texts of its functions. A hint that catches most changes, and no proof: what the functions call is
   * not in it.
   */
  readonly code: string
  /** Hex sha256 of the JSON Schemas of its params, before and after; absent when it declares none. */
  readonly params?: string
  /** Hex sha256 of the output's JSON Schema, or of its media type; the hash of nothing where the schema says none. */
  readonly output: string
  /** How the output is read: each artifact, and whether there is a list of them. */
  readonly makes: 'json' | 'bytes'
  readonly list: boolean
  /** Of a map: items at once. */
  readonly concurrency?: number
  /** Of an approval: when an answer is too late, in ms. */
  readonly expiresInMs?: number
  /** Hash of the plan that it runs. */
  readonly plan?: string
}

interface ManifestNeed {
  readonly state: string
  readonly optional?: true
}

/** The `output` of a child plan that makes null, since it has none of its own or since its schema says so. */
export const NULL_OUTPUT = outputHash(z.null())

/** A plan's states as a manifest has them, in topological order. */
export function statesOf(graph: Graph): readonly ManifestState[] {
  return graph.nodes.map(manifestState)
}

function manifestState(node: StateNode): ManifestState {
  const { id, kind, version, effect, cache, tags, environment, list } = node
  const shared = node.kind === 'map' ? node.shared : []
  return {
    ...{ id, kind, version, effect, cache, tags, environment },
    needs: { ...needsOf(node.edges, ''), ...needsOf(shared, 'with ') },
    after: node.edges.filter(({ name }) => name === undefined).map((edge) => edge.id),
    code: codeHash(node),
    ...(node.params !== undefined && {
      params: sha256(`${jsonSchemaOf(node.params, 'input')}\n${jsonSchemaOf(node.params, 'output')}`),
    }),
    output: outputHash(node.output),
    makes: isBytes(node.output) ? 'bytes' : 'json',
    list,
    ...(node.kind === 'map' && node.concurrency !== undefined && { concurrency: node.concurrency }),
    ...(node.kind === 'approval' && node.expiresInMs !== undefined && { expiresInMs: node.expiresInMs }),
    ...(node.kind === 'child' && { plan: node.plan.definition.hash }),
  }
}

function needsOf(edges: readonly Edge[], prefix: string): Record<string, ManifestNeed> {
  const named = edges.filter((edge) => edge.name !== undefined)
  return Object.fromEntries(
    named.map(({ name, id, optional }) => [`${prefix}${name}`, { state: id, ...(optional && { optional }) }]),
  )
}

/** Hex sha256 of the texts of a state's functions. */
function codeHash(node: StateNode): string {
  return sha256(functionsOf(node).join('\n\0\n'))
}

function functionsOf(node: StateNode): readonly string[] {
  switch (node.kind) {
    case 'state':
      return [node.run.toString()]
    case 'map':
      return [node.items.toString(), node.key.toString(), node.run.toString()]
    case 'approval':
      return [node.question?.toString() ?? '']
    case 'child':
      return [node.childParams.toString()]
  }
}

/** The interface that validators share for their JSON Schema (https://standardschema.dev/json-schema). */
interface WithJsonSchema {
  readonly jsonSchema?: Readonly<Record<'input' | 'output', (options: { readonly target: string }) => unknown>>
}

/** Hex sha256 of what is known of an output before there is one. */
function outputHash(output: OutputSpec): string {
  if (isBytes(output)) return sha256(output.mediaType)
  return sha256(jsonSchemaOf(output, 'output'))
}

function jsonSchemaOf(schema: Schema, side: 'input' | 'output'): string {
  const { jsonSchema } = schema['~standard'] as WithJsonSchema
  try {
    return jsonSchema === undefined ? '' : canonicalJson(jsonSchema[side]({ target: 'draft-2020-12' }))
  } catch {
    // A schema with a part that JSON Schema has no word for.
    return ''
  }
}
